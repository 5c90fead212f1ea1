// MODE IP PORT [TIMES]: one GET by node's http, net or fetch; with TIMES many at once, beside a
// ticker of 5 ms whose count and longest pause are the last line.
const http = require('http');
const net = require('net');

const [mode, host, port, times] = process.argv.slice(2);
const url = `http://${host}:${port}/`;

const ways = {
	http: () => new Promise((resolve, reject) => {
		http.get(url, { agent: false }, (answer) => {
			let body = '';
			answer.on('data', (data) => { body += data; });
			answer.on('end', () => resolve(body));
		}).on('error', reject);
	}),
	net: () => new Promise((resolve, reject) => {
		const socket = net.connect(Number(port), host, () => {
			socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
		});
		let text = '';
		socket.on('data', (data) => { text += data; });
		socket.on('end', () => resolve(text));
		socket.on('error', reject);
	}),
	fetch: () => fetch(url).then((answer) => answer.text()),
};

function ticker() {
	const seen = { ticks: 0, longest: 0 };
	let last = process.hrtime.bigint();
	seen.timer = setInterval(() => {
		const now = process.hrtime.bigint();
		seen.longest = Math.max(seen.longest, Number(now - last) / 1e9);
		seen.ticks++;
		last = now;
	}, 5);
	return seen;
}

const seen = ticker();
Promise.all(Array.from({ length: Number(times || 1) }, () => ways[mode]())).then((answers) => {
	console.log(answers.join('\n'));
	if (times) {
		console.log('ticks', seen.ticks, 'longest', seen.longest);
	}
	process.exit(0); // fetch keeps its connection for later
}).catch((error) => {
	const cause = error.cause || error;
	console.log(error.message, cause.code, cause.errno, cause.syscall, cause.message);
	process.exit(1);
});
