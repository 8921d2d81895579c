/// What one attempt of a publish hands to Kafka, and what it tells about the topics.
struct Sending {
    private struct Place {
        /// Of the publication's records; `nil` for the witness.
        var index: Int?
        var isDiverted: Bool
    }

    private(set) var records: [OutgoingRecord] = []
    /// Records that wait already, and go on waiting.
    private(set) var staying: [Int] = []
    private var places: [Place] = []
    private var taken: Set<String> = []
    private var notTaken: Set<String> = []
    private var didDivertFail = false

    /// - Parameter done: records that are settled, or `nil` for none.
    init(_ publication: Publication, except done: [Int: RecordFate], _ diversion: Diversion) {
        let indices = publication.records.indices
        if done.isEmpty, diversion.topics.isEmpty {
            self.records = publication.records
            self.places = indices.map { Place(index: $0, isDiverted: false) }
        } else {
            for index in indices where done[index] == nil {
                let record = publication.records[index]
                guard diversion.topics.contains(record.topic) else {
                    self.append(record, Place(index: index, isDiverted: false))
                    continue
                }
                switch publication.fallback(index) {
                case .none: self.append(record, Place(index: index, isDiverted: false))
                case .other(let other): self.append(other, Place(index: index, isDiverted: true))
                case .stays: self.staying.append(index)
                }
            }
        }
        if !diversion.suspects.isEmpty, !self.records.isEmpty, let witness = publication.witness() {
            self.append(witness, Place(index: nil, isDiverted: false))
        }
    }

    private mutating func append(_ record: OutgoingRecord, _ place: Place) {
        self.records.append(record)
        self.places.append(place)
    }

    /// Which of the publication's records is at `place`; `nil` for the witness.
    func index(at place: Int) -> Int? { self.places[place].index }
    func isDiverted(_ place: Int) -> Bool { self.places[place].isDiverted }

    mutating func wasTaken(_ place: Int) {
        if self.isNews(place, in: self.taken) { self.taken.insert(self.records[place].topic) }
    }

    mutating func wasNotTaken(_ place: Int) {
        if self.places[place].isDiverted { self.didDivertFail = true }
        if self.isNews(place, in: self.notTaken) { self.notTaken.insert(self.records[place].topic) }
    }

    /// Whether the topic may be new to `topics`: mostly it is that of the record before.
    private func isNews(_ place: Int, in topics: Set<String>) -> Bool {
        place == 0 || topics.isEmpty || self.records[place - 1].topic != self.records[place].topic
            || !topics.contains(self.records[place].topic)
    }

    /// The attempt is over.
    func conclude(_ publication: Publication, _ diversion: inout Diversion) async {
        guard !self.notTaken.isEmpty || !diversion.suspects.isEmpty else { return }
        let isKafka = self.didDivertFail
        diversion.attempted(
            failed: self.notTaken, didElsewhere: !self.taken.subtracting(self.notTaken).isEmpty, didDivertFail: isKafka)
        if !isKafka, !diversion.suspects.isEmpty {
            diversion.declared(await publication.away(diversion.suspects))
        }
    }
}
