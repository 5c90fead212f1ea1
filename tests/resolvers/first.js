// first.js NAME COUNT: the first address of each of COUNT look-ups.
const dns = require("dns").promises;

(async () => {
  for (let i = Number(process.argv[3]); i > 0; i--)
    console.log((await dns.lookup(process.argv[2], { family: 4 })).address);
})();
