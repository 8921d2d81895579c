import CLibPQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Wakes a thread out of `poll`: an eventfd, closed with its last reference.
final class Wakeup: Sendable {
    let descriptor: Int32

    /// - Precondition: the process may open one more descriptor.
    init() {
        self.descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        precondition(self.descriptor >= 0, "eventfd: \(String(cString: strerror(errno)))")
    }

    deinit { close(self.descriptor) }

    func signal() {
        var one: UInt64 = 1
        // Fails only when the counter is full, and then the thread is awake anyway.
        _ = write(self.descriptor, &one, 8)
    }

    func clear() {
        var count: UInt64 = 0
        _ = read(self.descriptor, &count, 8)
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
