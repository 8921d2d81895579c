import JSON
import Observability
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite struct LogSinkTests {
    /// Both ends of a pipe, closed with the value's owner.
    private final class Pipe {
        let readEnd: Int32
        let writeEnd: Int32

        init() {
            var ends: [Int32] = [0, 0]
            precondition(pipe(&ends) == 0, "no pipe")
            (self.readEnd, self.writeEnd) = (ends[0], ends[1])
            _ = fcntl(self.readEnd, F_SETFL, O_NONBLOCK)
        }

        deinit {
            close(self.readEnd)
            close(self.writeEnd)
        }

        /// What lies in the pipe now.
        func drain() -> [UInt8] {
            var all: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(self.readEnd, &chunk, chunk.count)
                if count <= 0 { return all }
                all.append(contentsOf: chunk[..<count])
            }
        }
    }

    @Test func `a reader that stops reading costs lines, not the process`() throws {
        let pipe = Pipe()
        let sink = LogSink.descriptor(pipe.writeEnd, patience: .zero)
        let line = Array("{\"n\":\"\(String(repeating: "x", count: 1000))\"}\n".utf8)
        // Far more than any pipe holds; with a blocking write this would never return.
        for _ in 0..<2000 { sink.write(line) }
        let kept = pipe.drain().split(separator: 0x0a)
        #expect(kept.count > 10 && kept.count < 2000)
        for bytes in kept { _ = try JSONParser.parse(bytes) }

        sink.write(line)
        let after = pipe.drain().split(separator: 0x0a)
        #expect(after.count == 2)
        let notice = try JSONParser.parse(after[0])
        #expect(notice["event"] == "log_lines_dropped")
        #expect(notice["count"]?.integerValue == Int64(2000 - kept.count))
    }

    @Test func `lines of many threads do not mix`() async throws {
        let pipe = Pipe()
        let sink = LogSink.descriptor(pipe.writeEnd)
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    let pad = String(repeating: "p", count: 200)
                    for index in 0..<20 {
                        sink.write(
                            Array(
                                "{\"task\":\(task),\"index\":\(index),\"pad\":\"\(pad)\"}\n"
                                    .utf8))
                    }
                }
            }
        }
        let lines = pipe.drain().split(separator: 0x0a)
        #expect(lines.count == 160)
        for line in lines { _ = try JSONParser.parse(line) }
    }
}
