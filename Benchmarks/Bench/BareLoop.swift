import DispatcherDomain
import DispatcherService
import EscapementModel
import Glibc
import JSON
import KafkaYardstick
import NIOCore
import ServiceConfiguration
import WireProtocol

/// The yardstick of the dispatcher: librdkafka in a plain loop, in a process of its own.
struct BareLoop {
    /// Of a transaction.
    private static let recordsPerTransaction: UInt64 = 1000
    private static let lingerMilliseconds: Int32 = 1

    enum Content: String {
        /// Without headers.
        case values
        /// As the dispatcher sends them.
        case records
    }

    struct Result {
        var nanoseconds: Int64
        var nanosecondsOfCPU: Int64
    }

    var bootstrap: String
    var mode: DeliveryMode
    var count: Int
    var size: Int
    var content: Content

    init(bootstrap: String, mode: DeliveryMode, count: Int, size: Int, content: Content) {
        self.bootstrap = bootstrap
        self.mode = mode
        self.count = count
        self.size = size
        self.content = content
    }

    /// What `arguments` says, in the process that runs it.
    init(_ arguments: [String]) throws(BenchError) {
        guard arguments.count == 5, let mode = DeliveryMode(rawValue: arguments[1]), let count = Int(arguments[2]),
            let size = Int(arguments[3]), let content = Content(rawValue: arguments[4])
        else { throw BenchError("bare needs BOOTSTRAP MODE N SIZE values|records") }
        self.init(bootstrap: arguments[0], mode: mode, count: count, size: size, content: content)
    }

    private var arguments: [String] {
        [self.bootstrap, self.mode.rawValue, "\(self.count)", "\(self.size)", self.content.rawValue]
    }

    /// Runs it in a process of its own.
    func measure(allocator: Allocator) throws(BenchError) -> Result {
        let process = try ChildProcess(["bare"] + self.arguments, allocator: allocator)
        defer { process.stop() }
        let line = try process.line()
        guard let record = try? JSONParser.parse(line), let wall = record["ns"]?.integerValue,
            let cpu = record["cpu_ns"]?.integerValue
        else { throw BenchError("the bare loop says '\(line)'") }
        return Result(nanoseconds: wall, nanosecondsOfCPU: cpu)
    }

    /// Runs it here; prints the times of all its records.
    func run() throws {
        let sample = FireSample(size: self.size)
        let headers = self.content == .records ? try sample.headers() : []
        let names = headers.map { UnsafePointer<CChar>(strdup($0.name)) }
        let values = headers.map { UnsafeRawPointer(strdup($0.value)) }
        let lengths = headers.map { $0.value.utf8.count }
        defer {
            for name in names { free(UnsafeMutablePointer(mutating: name)) }
            for value in values { free(UnsafeMutableRawPointer(mutating: value)) }
        }
        var result = yardstick_result()
        var problem = [CChar](repeating: 0, count: 512)
        let status = sample.template.payload.withUnsafeReadableBytes { value in
            names.withUnsafeBufferPointer { names in
                values.withUnsafeBufferPointer { values in
                    lengths.withUnsafeBufferPointer { lengths in
                        var record = yardstick_record(
                            value: value.baseAddress, value_length: value.count, header_names: names.baseAddress,
                            header_values: values.baseAddress, header_lengths: lengths.baseAddress,
                            header_count: names.count)
                        return yardstick_produce(
                            self.bootstrap, FireSample.topic, UInt64(FireSample.warmUp(for: self.count)),
                            UInt64(self.count), &record, Self.lingerMilliseconds,
                            self.mode == .exactlyOnce ? Self.recordsPerTransaction : 0, 1, &result, &problem,
                            problem.count)
                    }
                }
            }
        }
        guard status == 0, result.failed == 0 else {
            let reason = String(decoding: problem.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw BenchError("the bare loop failed: \(reason), \(result.failed) records")
        }
        emit(.record(["ns": .integer(result.nanoseconds), "cpu_ns": .integer(result.cpu_nanoseconds)]))
    }
}
