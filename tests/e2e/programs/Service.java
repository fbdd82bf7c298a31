import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/** Answers on port 8080 with the host's name, how often it was asked, and a sum over what it holds. */
public class Service {
    public static void main(String[] args) throws Exception {
        Map<Integer, String> held = new HashMap<>();
        for (int i = 0; i < 100_000; i++) held.put(i, "entry " + i);
        AtomicInteger asked = new AtomicInteger();
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 50);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/", exchange -> {
            String host = Files.readString(Path.of("/proc/sys/kernel/hostname")).trim();
            long sum = held.values().stream().mapToLong(String::length).sum();
            byte[] answer = (host + " " + asked.incrementAndGet() + " " + sum + "\n").getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
        System.out.println("ready");
    }
}
