import DispatcherDomain
import EscapementModel
import Testing

@Suite struct JournalAssemblerTests {
    private func outcome(_ id: UInt64) -> OutcomeRecord {
        let at = WallInstant(milliseconds: 1000)
        return OutcomeRecord(
            id: ActivationID(UID(high: 0, low: id)), kind: .cron, uid: .zero, generation: 1, shard: ShardID(1),
            epoch: Epoch(1), scheduled: at, due: at, settledAt: at, outcome: .dispatched, reason: .dispatched,
            namespace: "n", name: "s", ticker: NodeID("t"))
    }

    private func stored(_ offset: Int64, epoch: UInt64 = 1, sequence: UInt64 = 1, _ body: JournalRecord.Body)
        -> StoredJournalRecord
    {
        StoredJournalRecord(
            offset: offset,
            record: JournalRecord(
                lane: LaneID(0), laneEpoch: Epoch(epoch), sequence: sequence, dispatcher: NodeID("d"), body: body))
    }

    @Test func `an entry of one record is complete at once`() {
        var assembler = JournalAssembler(startingAt: 5)
        let entry = assembler.take(self.stored(5, .entry([], [self.outcome(1)])))
        #expect(entry?.outcomes == [self.outcome(1)])
        #expect(entry?.nextOffset == 6)
        #expect(assembler.resumeOffset == 6)
    }

    @Test func `parts wait for their last record, and a restart reads them again`() {
        var assembler = JournalAssembler(startingAt: 5)
        #expect(assembler.take(self.stored(5, .part([self.outcome(1)]))) == nil)
        #expect(assembler.take(self.stored(6, .part([self.outcome(2)]))) == nil)
        #expect(assembler.resumeOffset == 5)
        let entry = assembler.take(self.stored(8, .entry([], [self.outcome(3)])))
        #expect(entry?.outcomes == [1, 2, 3].map { self.outcome($0) })
        #expect(assembler.resumeOffset == 9)
    }

    @Test(arguments: [(2, 1), (1, 2)] as [(UInt64, UInt64)])
    func `parts whose writer died count for nothing`(epoch: UInt64, sequence: UInt64) {
        var assembler = JournalAssembler(startingAt: 0)
        #expect(assembler.take(self.stored(0, .part([self.outcome(1)]))) == nil)
        let entry = assembler.take(self.stored(1, epoch: epoch, sequence: sequence, .entry([], [self.outcome(2)])))
        #expect(entry?.outcomes == [self.outcome(2)])
    }

    @Test func `a barrier ends what was begun, and unreadable records are passed over`() {
        var assembler = JournalAssembler(startingAt: 0)
        #expect(assembler.take(self.stored(0, .part([self.outcome(1)]))) == nil)
        #expect(assembler.take(StoredJournalRecord(offset: 1, record: nil)) == nil)
        #expect(assembler.resumeOffset == 0)
        #expect(assembler.take(self.stored(2, epoch: 2, .barrier(nonce: .zero))) == nil)
        #expect(assembler.resumeOffset == 3)
    }

    @Test func `a former owner that still writes ends nothing that its successor has begun`() {
        var assembler = JournalAssembler(startingAt: 0)
        #expect(assembler.take(self.stored(0, epoch: 2, sequence: 7, .part([self.outcome(1)]))) == nil)
        #expect(assembler.take(self.stored(1, epoch: 1, sequence: 9, .part([self.outcome(8)]))) == nil)
        let former = assembler.take(self.stored(2, epoch: 1, sequence: 9, .entry([], [self.outcome(9)])))
        #expect(former?.outcomes == [self.outcome(9)])
        #expect(assembler.take(self.stored(3, epoch: 1, .barrier(nonce: .zero))) == nil)
        #expect(assembler.resumeOffset == 0, "the successor's part is read again after a restart")
        let entry = assembler.take(self.stored(4, epoch: 2, sequence: 7, .entry([], [self.outcome(2)])))
        #expect(entry?.outcomes == [self.outcome(1), self.outcome(2)])
        #expect(assembler.resumeOffset == 5)
    }

    @Test func `a damaged journal does not fill the memory`() {
        var assembler = JournalAssembler(startingAt: 0)
        let many = Array(repeating: self.outcome(1), count: JournalAssembler.outcomesMax / 2 + 1)
        #expect(assembler.take(self.stored(0, .part(many))) == nil)
        #expect(assembler.take(self.stored(1, .part(many))) == nil)
        #expect(assembler.take(self.stored(2, .entry([], [])))?.outcomes == [])
    }
}
