import NIOCore

/// A fetch that waits for records: it looks again whenever one of its partitions changes, and gives up after its
/// longest wait.
final class FetchWait {
    /// Answers when there is enough, or anyhow when it must; tells whether it did.
    private let attempt: (_ mustAnswer: Bool) -> Bool
    private var partitions: [Partition] = []
    private var timer: Scheduled<Void>?
    private var isDone = false

    init(attempt: @escaping (_ mustAnswer: Bool) -> Bool) { self.attempt = attempt }

    /// Looks once, and waits when that was in vain.
    func begin(_ partitions: [Partition], loop: any EventLoop, milliseconds: Int64) {
        if milliseconds <= 0 || partitions.isEmpty {
            _ = self.attempt(true)
            return
        }
        if self.attempt(false) { return }
        self.partitions = partitions
        for partition in partitions { partition.waits[ObjectIdentifier(self)] = self }
        self.timer = loop.assumeIsolated().scheduleTask(in: .milliseconds(milliseconds)) { self.giveUp() }
    }

    func look() {
        if !self.isDone, self.attempt(false) { self.end() }
    }

    func giveUp() {
        guard !self.isDone else { return }
        self.end()
        _ = self.attempt(true)
    }

    private func end() {
        self.isDone = true
        self.timer?.cancel()
        for partition in self.partitions { partition.waits[ObjectIdentifier(self)] = nil }
        self.partitions = []
    }
}
