import EscapementModel
import NIOCore
import WireProtocol

/// Sends the contents of shards to one ticker, and no more of them ahead of its acknowledgements than `bytesMax`: one
/// that is slow to take them, or a shard of a million schedules, holds a few pages of this process's memory.
///
/// Frames leave in the order in which they were handed over. A peer older than such acknowledgements has no window; its
/// link's own bound is what there is.
actor ContentsWindow {
    /// Payload bytes on their way. Several pages, so that a ticker is not idle for a round trip after each.
    static let bytesMax: UInt64 = 4 << 20
    /// How long frames may wait without any acknowledgement, until the ticker is to begin anew on another link.
    static let stalledAfter = Duration.seconds(20)

    private let link: any MessageLink
    private let clocks: any Clocks
    private let isLimited: Bool
    private var sent: UInt64 = 0
    private var acknowledged: UInt64 = 0
    /// One frame for each sender that waits; bounded by the reads for one link at a time.
    private var waiting: [(frame: Frame, sender: CheckedContinuation<Bool, Never>)] = []
    /// When the last acknowledgement came, or the first frame began to wait.
    private var movedAt: MonotonicInstant
    private var isClosed = false

    init(link: any MessageLink, clocks: any Clocks, version: UInt32) {
        self.link = link
        self.clocks = clocks
        self.isLimited = version >= ProtocolRange.reporting
        self.movedAt = clocks.monotonicNow()
    }

    private var hasRoom: Bool { !self.isLimited || self.sent - self.acknowledged < Self.bytesMax }

    /// Sends the frame if it can leave now.
    ///
    /// - Returns: `nil` when there is no room, `false` when the link is closed.
    func offer(_ frame: Frame) -> Bool? {
        if self.isClosed { return false }
        guard self.waiting.isEmpty, self.hasRoom else { return nil }
        return self.pass(frame)
    }

    /// Sends the frame when there is room for it; `false` when the link is closed.
    func send(_ frame: Frame) async -> Bool {
        if let isSent = self.offer(frame) { return isSent }
        return await withCheckedContinuation { sender in
            if self.waiting.isEmpty { self.movedAt = self.clocks.monotonicNow() }
            self.waiting.append((frame, sender))
        }
    }

    /// The ticker has taken so many bytes since the link was made.
    func acknowledge(_ total: UInt64) {
        // A number that cannot be is no reason to send more.
        guard total > self.acknowledged, total <= self.sent else { return }
        self.acknowledged = total
        self.movedAt = self.clocks.monotonicNow()
        while !self.waiting.isEmpty, self.hasRoom {
            let (frame, sender) = self.waiting.removeFirst()
            sender.resume(returning: self.pass(frame))
        }
    }

    /// Whether frames wait and nothing has been acknowledged for too long.
    var isStalled: Bool {
        !self.waiting.isEmpty && self.clocks.monotonicNow().duration(since: self.movedAt) >= Self.stalledAfter
    }

    /// The link is gone: whoever waits need not.
    func close() {
        self.isClosed = true
        for (_, sender) in self.waiting { sender.resume(returning: false) }
        self.waiting = []
    }

    private func pass(_ frame: Frame) -> Bool {
        self.sent += UInt64(frame.payload.readableBytes)
        return self.link.send(frame)
    }
}
