import DispatcherKafka
import Glibc
import KafkaYardstick

/// librdkafka's mock cluster in a process of its own, with the topics of the cluster `bench`.
struct MockBroker {
    let bootstrap: String
    private let process: ChildProcess

    init(lanes: Int) throws(BenchError) {
        self.process = try ChildProcess(["kafka-mock", "\(lanes)"], allocator: .system)
        self.bootstrap = try self.process.line()
    }

    func stop() { self.process.stop() }

    /// What the process does; its status.
    static func serve(lanes: Int) -> Int32 {
        let topics = ClusterTopics(
            cluster: FireSample.cluster, laneCount: lanes, defaultTopic: FireSample.topic,
            deadLetterTopic: FireSample.deadLetterTopic
        ).all
        let counts = topics.map { Int32($0.name == FireSample.topic ? FireSample.partitions : $0.partitionCount) }
        let names = topics.map { UnsafePointer<CChar>(strdup($0.name)) }
        return yardstick_mock(names, counts, topics.count)
    }
}
