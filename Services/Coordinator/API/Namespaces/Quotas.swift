import EscapementModel
import ScheduleDocuments
import Store

extension APIServer {
    /// What reading a request's documents needs, with the namespace's own limits.
    func reading(_ call: APICall) async throws(StoreError) -> DocumentReading {
        let quota = try await self.limits.settings(of: call.namespace).quota
        var settings = self.settings
        if let bytes = quota.payloadBytesMax {
            settings.payloadByteCountMax = min(Int(clamping: bytes), TargetDocument.payloadMax)
        }
        return DocumentReading(
            settings: settings, zones: self.zones, namespace: call.namespace, now: self.clocks.wallNow(),
            intervalMinMilliseconds: quota.intervalMinMilliseconds)
    }

    /// - Throws: `QUOTA_EXCEEDED`, `RATE_LIMITED`.
    func checkScheduleQuota(_ namespace: String) async throws {
        let quota = try await self.limits.settings(of: namespace).quota
        try self.checkRate(1, namespace, quota)
        guard let most = quota.schedulesMax else { return }
        let usage = try await self.store.usage(of: namespace, upTo: Int(clamping: most) &+ 1)
        if usage.schedules >= most {
            throw Self.quotaExceeded(
                "the namespace '\(namespace)' has \(usage.schedules) schedules, its quota is \(most)")
        }
    }

    /// - Throws: `QUOTA_EXCEEDED`, `RATE_LIMITED`.
    func checkTimerQuota(_ namespace: String, adding count: Int) async throws {
        let quota = try await self.limits.settings(of: namespace).quota
        try self.checkRate(count, namespace, quota)
        guard let most = quota.pendingTimersMax else { return }
        let usage = try await self.store.usage(of: namespace, upTo: Int(clamping: most) &+ 1)
        if usage.pendingTimers + count > Int(clamping: most) {
            throw Self.quotaExceeded(
                "the namespace '\(namespace)' has \(usage.pendingTimers) pending timers and its quota is \(most); \(count) more do not fit"
            )
        }
    }

    private func checkRate(_ count: Int, _ namespace: String, _ quota: NamespaceQuota) throws(Problem) {
        guard let rate = quota.creationsPerSecondMax else { return }
        if let seconds = self.limits.take(count, of: namespace, perSecond: rate) {
            throw Problem(
                429, Problem.Code.rateLimited, "the namespace '\(namespace)' may create \(rate) a second",
                retryAfterSeconds: seconds)
        }
    }

    private static func quotaExceeded(_ detail: String) -> Problem {
        Problem(429, Problem.Code.quotaExceeded, detail, retryAfterSeconds: 60)
    }
}
