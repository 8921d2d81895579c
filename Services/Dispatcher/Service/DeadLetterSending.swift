/// The dead letters of one publish, over its attempts: each is written, waits, or is lost because it can never be written.
struct DeadLetterSending {
    /// What follows from one report.
    enum Report {
        case done
        /// The next attempt sends something else.
        case changed
        case again(String)
        case fenced(String)
    }

    /// What one attempt hands to Kafka.
    private(set) var records: [OutgoingRecord] = []
    /// In the order of the settlement.
    private(set) var fates: [LetterFate] = []
    private var indices: [Int] = []
    private var isDiverted: [Bool] = []
    private var lostReasons: [Int: String] = [:]
    private var waiting: Set<Int> = []
    private var canWait = false

    var isAnyUnwritten: Bool { self.fates.contains { $0 != .written } }
    var lost: [String] { self.fates.compactMap { if case .lost(let reason) = $0 { reason } else { nil } } }

    /// An attempt begins.
    mutating func begin(_ settlement: Settlement, _ publication: Publication) {
        let letters = settlement.deadLetters
        self.canWait = settlement.waitingLetters.count == letters.count
        if self.canWait, publication.lettersWait() { self.waiting.formUnion(letters.indices) }
        self.records = []
        self.indices = []
        self.isDiverted = []
        self.fates = letters.map { _ in .written }
        for index in letters.indices {
            if let reason = self.lostReasons[index] {
                self.fates[index] = .lost(reason)
                continue
            }
            let waits = self.canWait && self.waiting.contains(index)
            self.indices.append(index)
            self.isDiverted.append(waits)
            self.records.append(waits ? settlement.waitingLetters[index] : letters[index])
        }
    }

    /// Kafka reported all records of the attempt.
    mutating func took(_ deliveries: [RecordDelivery]) -> Report {
        var report = Report.done
        for (place, delivery) in deliveries.enumerated() {
            let index = self.indices[place]
            switch delivery {
            case .delivered(_, let offset):
                if self.isDiverted[place] { self.fates[index] = .waits(offset: offset) }
            case .refused(.forbiddenTopic, _) where self.canWait && !self.isDiverted[place],
                .refused(.unknownTopic, _) where self.canWait && !self.isDiverted[place]:
                // The right, or the topic, may come back.
                self.waiting.insert(index)
                report = .changed
            case .refused(let refusal, let detail):
                self.lostReasons[index] = "\(refusal): \(detail)"
                report = .changed
            case .unavailable(let reason): if case .done = report { report = .again(reason) }
            case .fenced(let reason): return .fenced(reason)
            }
        }
        // Beside a refused record the others fail for its sake. Otherwise it is their topic: Kafka took the fires of this
        // very attempt.
        if case .again = report { self.waiting.formUnion(self.indices) }
        return report
    }
}

extension TopicTrial {
    init(_ delivery: RecordDelivery?) {
        switch delivery {
        case .delivered: self = .takes
        case .refused: self = .refuses
        case .unavailable: self = .away
        case .fenced, nil: self = .unknown
        }
    }
}
