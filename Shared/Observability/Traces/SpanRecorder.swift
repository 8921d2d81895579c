import Synchronization

/// Finished spans on their way out: a bounded queue between those who work and the one who exports.
///
/// Switched off it costs one atomic load. When the queue is full, new spans are dropped and counted; nobody ever
/// waits for a trace.
package final class SpanRecorder: Sendable {
    /// The most spans that wait for the exporter.
    package static let spanCountMax = 8192

    private struct State {
        var spans: [Span] = []
        /// Of each trace, the part that is recorded, as a limit of its id's first 8 bytes.
        var limit = UInt64.max
        var followsParent = true
    }

    private let state = Mutex(State())
    private let on = Atomic(false)
    private let recorded: Counter
    private let dropped: Counter

    package init(_ metrics: MetricsRegistry) {
        self.recorded = metrics.counter("escapement_trace_spans_total", "Spans recorded for export.")
        self.dropped = metrics.counter(
            "escapement_trace_spans_dropped_total", "Spans dropped because the exporter was behind or failed.")
    }

    package var isOn: Bool { self.on.load(ordering: .relaxed) }

    /// Switches recording on: of new traces `ratio` (0...1), decided by the trace's id and so equal everywhere.
    ///
    /// - Parameter followsParent: what a caller decided about its own trace is kept.
    package func switchOn(ratio: Double, followsParent: Bool) {
        self.state.withLock { state in
            state.limit = ratio >= 1 ? .max : UInt64(max(0, ratio) * Double(UInt64.max))
            state.followsParent = followsParent
        }
        self.on.store(true, ordering: .releasing)
    }

    /// Whether a trace that begins here is recorded.
    package func samples(traceID: String) -> Bool {
        guard self.isOn, let value = UInt64(traceID.suffix(16), radix: 16) else { return false }
        let limit = self.state.withLock { $0.limit }
        return limit == .max || value < limit
    }

    /// Whether work for a caller is recorded whose own trace is `parent`.
    package func samples(below parent: TraceContext) -> Bool {
        guard self.isOn else { return false }
        return self.state.withLock { $0.followsParent } ? parent.isSampled : self.samples(traceID: parent.traceID)
    }

    /// Takes a finished span, or drops it.
    package func record(_ span: Span) {
        guard self.isOn, span.context.isSampled else { return }
        let isTaken = self.state.withLock { state in
            guard state.spans.count < Self.spanCountMax else { return false }
            state.spans.append(span)
            return true
        }
        (isTaken ? self.recorded : self.dropped).increment()
    }

    /// The oldest `max` spans, which leave the queue.
    package func take(_ max: Int) -> [Span] {
        self.state.withLock { state in
            let batch = Array(state.spans.prefix(max))
            state.spans.removeFirst(batch.count)
            return batch
        }
    }

    /// Spans that could not be delivered.
    package func lost(_ count: Int) { self.dropped.increment(by: count) }
}
