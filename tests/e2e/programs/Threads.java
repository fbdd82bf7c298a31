import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicLong;

/** Several threads hand numbers round a ring of queues; each number must arrive in order. */
public class Threads {
    static final int RING = 4;

    public static void main(String[] arguments) throws Exception {
        @SuppressWarnings("unchecked")
        LinkedBlockingQueue<Long>[] queues = new LinkedBlockingQueue[RING];
        for (int i = 0; i < RING; i++) queues[i] = new LinkedBlockingQueue<>();
        AtomicLong garbage = new AtomicLong();
        for (int i = 0; i < RING; i++) {
            int from = i;
            Thread thread = new Thread(() -> {
                try {
                    while (true) {
                        long number = queues[from].take();
                        garbage.addAndGet(new byte[4096].length);
                        if (from + 1 < RING) queues[from + 1].put(number);
                        else System.out.println("round " + number);
                    }
                } catch (InterruptedException end) {
                    throw new IllegalStateException(end);
                }
            });
            thread.setDaemon(true);
            thread.start();
        }
        for (long number = 1; ; number++) {
            queues[0].put(number);
            Thread.sleep(10);
        }
    }
}
