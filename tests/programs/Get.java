import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousSocketChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutionException;

/** MODE IP PORT: one GET by one of the JDK's ways to connect. */
public class Get {
	static final int TIMEOUT_MS = 10_000;
	static final byte[] REQUEST = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			.getBytes(StandardCharsets.US_ASCII);

	static String socket(InetSocketAddress address, int timeoutMs) throws IOException {
		try (Socket socket = new Socket()) {
			socket.connect(address, timeoutMs);
			socket.getOutputStream().write(REQUEST);
			InputStream in = socket.getInputStream();
			return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
		}
	}

	static String selector(InetSocketAddress address) throws IOException {
		ByteBuffer answer = ByteBuffer.allocate(65536);
		try (Selector selector = Selector.open(); SocketChannel channel = SocketChannel.open()) {
			channel.configureBlocking(false);
			SelectionKey key = channel.register(selector, SelectionKey.OP_CONNECT);
			if (channel.connect(address)) {
				throw new IOException("connected at once");
			}
			while (!channel.isConnected()) {
				selector.select();
				selector.selectedKeys().clear();
				channel.finishConnect();
			}
			channel.write(ByteBuffer.wrap(REQUEST));
			key.interestOps(SelectionKey.OP_READ);
			do {
				selector.select();
				selector.selectedKeys().clear();
			} while (channel.read(answer) >= 0);
		}
		return new String(answer.array(), 0, answer.position(), StandardCharsets.US_ASCII);
	}

	static String async(InetSocketAddress address) throws Exception {
		ByteBuffer answer = ByteBuffer.allocate(65536);
		try (AsynchronousSocketChannel channel = AsynchronousSocketChannel.open()) {
			channel.connect(address).get();
			channel.write(ByteBuffer.wrap(REQUEST)).get();
			while (channel.read(answer).get() >= 0) {
				// until the server closes
			}
		}
		return new String(answer.array(), 0, answer.position(), StandardCharsets.US_ASCII);
	}

	static String http(String ip, int port) throws Exception {
		URI uri = URI.create("http://" + ip + ":" + port + "/");
		HttpRequest request = HttpRequest.newBuilder(uri).build();
		return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
	}

	static String get(String mode, String ip, int port) throws Exception {
		InetSocketAddress address = new InetSocketAddress(ip, port);
		switch (mode) {
		case "socket":
			return socket(address, 0);
		case "socket-timeout":
			return socket(address, TIMEOUT_MS);
		case "selector":
			return selector(address);
		case "async":
			return async(address);
		default:
			return http(ip, port);
		}
	}

	public static void main(String[] args) throws Exception {
		try {
			System.out.println(get(args[0], args[1], Integer.parseInt(args[2])));
		} catch (IOException | ExecutionException error) {
			System.out.println(error + " cause " + error.getCause());
			System.exit(1);
		}
		System.exit(0); // HttpClient's threads would stay a while
	}
}
