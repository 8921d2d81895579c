import ArgumentParser
import EscapementModel
import Glibc
import ScheduleDocuments

/// The loop of the bulk form: whole lines in, answers out, a block at a time and in order.
///
/// What has been read is answered before more is read, so a program may ask, wait for the answer and ask
/// again; memory holds one block and one unfinished line.
struct CronBulk {
    let answers: CronAnswers
    let now: WallInstant

    private static let blockBytes = 65_536
    /// A longer line is answered with an error and dropped; an expression has at most 1000 characters.
    private static let lineBytesMax = 1_048_576

    /// Runs until the end of the standard input.
    ///
    /// - Throws: `ExitCode` 1 when reading or writing fails; a reader that went away is no failure.
    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        var block = [UInt8](repeating: 0, count: Self.blockBytes)
        var unfinished: [UInt8] = []
        var isTooLong = false
        var output: [UInt8] = []
        while true {
            let count = block.withUnsafeMutableBytes { read(0, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure("reading") }
            if count == 0 { break }
            var rest = block[..<count]
            while let end = rest.firstIndex(of: 0x0a) {
                if isTooLong || unfinished.count + end - rest.startIndex > Self.lineBytesMax {
                    CronAnswers.refuseLine(longerThan: Self.lineBytesMax, into: &output)
                } else if unfinished.isEmpty {
                    self.answers.answer(rest[..<end], now: self.now, into: &output)
                } else {
                    self.answers.answer(unfinished + rest[..<end], now: self.now, into: &output)
                }
                unfinished.removeAll()
                isTooLong = false
                rest = rest[(end + 1)...]
                guard try Self.flush(&output, above: Self.blockBytes) else { return }
            }
            unfinished += rest
            if unfinished.count > Self.lineBytesMax {
                isTooLong = true
                unfinished.removeAll()
            }
            guard try Self.flush(&output, above: 0) else { return }
        }
        if isTooLong {
            CronAnswers.refuseLine(longerThan: Self.lineBytesMax, into: &output)
        } else if !unfinished.isEmpty {
            self.answers.answer(unfinished, now: self.now, into: &output)
        }
        _ = try Self.flush(&output, above: 0)
    }

    /// Writes `output` when it holds more than `bytes`. False when nobody reads it any more.
    private static func flush(_ output: inout [UInt8], above bytes: Int) throws -> Bool {
        guard output.count > bytes else { return true }
        var start = 0
        while start < output.count {
            let written = output.withUnsafeBytes { write(1, $0.baseAddress! + start, $0.count - start) }
            if written < 0, errno == EINTR { continue }
            if written < 0, errno == EPIPE { return false }
            guard written >= 0 else { throw self.failure("writing") }
            start += written
        }
        output.removeAll(keepingCapacity: true)
        return true
    }

    private static func failure(_ act: String) -> ExitCode {
        CronReport.tell("escapement: \(act) failed: \(String(cString: strerror(errno)))")
        return ExitCode(1)
    }
}
