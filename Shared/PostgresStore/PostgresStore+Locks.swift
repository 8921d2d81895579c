package import EscapementModel
package import Store

extension PostgresStore {
    private func runLock(_ operation: String, _ call: PostgresCall) async throws(StoreError) -> PostgresResult {
        try await self.retrying(operation) { () async throws(PostgresFailure) in
            try await self.lockConnection.run(call)
        }
    }

    package func observeLeader() async throws(StoreError) -> LeaderRecord {
        let operation = "observe leader"
        let result = try await self.runLock(operation, self.locks.observe())
        let record = try self.read(operation) { () throws(PostgresFailure) in
            try result.first { row throws(PostgresFailure) in
                LeaderRecord(
                    epoch: Epoch(try row.unsigned()), beat: try row.unsigned(),
                    holder: try row.optionalUID().map(Incarnation.init),
                    node: try row.optionalText().map { NodeID($0) }, address: try row.optionalText())
            }
        }
        guard let record else {
            throw StoreError(.corrupt, operation: operation, detail: "the leader row is missing")
        }
        return record
    }

    package func renewLeadership(epoch: Epoch, holder: Incarnation) async throws(StoreError) -> Bool {
        let operation = "renew leadership"
        let call = self.locks.renew(try self.signed(epoch.rawValue, operation), .uid(holder.uid))
        return try await self.runLock(operation, call).changedCount == 1
    }

    package func takeLeadership(
        from seen: LeaderRecord, holder: Incarnation, node: NodeID, address: String
    ) async throws(StoreError) -> Epoch? {
        let operation = "take leadership"
        let call = self.locks.take(
            try self.signed(seen.epoch.rawValue, operation), try self.signed(seen.beat, operation),
            .uid(holder.uid), .text(node.name), .text(address))
        let result = try await self.runLock(operation, call)
        return try self.read(operation) { () throws(PostgresFailure) in
            try result.first { row throws(PostgresFailure) in Epoch(try row.unsigned()) }
        }
    }

    package func releaseLeadership(epoch: Epoch, holder: Incarnation) async throws(StoreError) {
        let operation = "release leadership"
        let call = self.locks.release(try self.signed(epoch.rawValue, operation), .uid(holder.uid))
        _ = try await self.runLock(operation, call)
    }

    package func loadOwnership() async throws(StoreError) -> Ownership {
        let operation = "load ownership"
        let result = try await self.runLock(operation, self.locks.ownership())
        return try self.read(operation) { () throws(PostgresFailure) in
            var ownership = Ownership(shards: [], lanes: [])
            for index in 0..<result.rowCount {
                var row = result.row(index)
                let isShard = try row.int() == 0
                guard let number = UInt16(exactly: try row.int()) else { throw .corrupt("a number of a shard or lane") }
                let record = OwnershipRecord(
                    number: number, epoch: Epoch(try row.unsigned()), owner: try row.optionalText().map { NodeID($0) },
                    incarnation: try row.optionalUID().map(Incarnation.init))
                if isShard { ownership.shards.append(record) } else { ownership.lanes.append(record) }
            }
            return ownership
        }
    }

    package func claim(
        _ kind: OwnedKind, _ claims: [OwnershipClaim], leaderEpoch: Epoch
    ) async throws(StoreError) -> ClaimOutcome {
        let operation = "claim \(kind.rawValue)s"
        // Of two claims to one row the statement would apply any one.
        var seen: Set<UInt16> = []
        let sent = claims.indices.filter { seen.insert(claims[$0].number).inserted }
        let statement = kind == .shard ? self.locks.claimShards : self.locks.claimLanes
        let call = statement(
            try self.signed(leaderEpoch.rawValue, operation),
            .ints(sent.map { Int64(claims[$0].number) }),
            // An epoch that does not fit is no row's.
            .ints(sent.map { Int64(exactly: claims[$0].expected.rawValue) ?? -1 }),
            .texts(sent.map { claims[$0].owner?.name }), .uids(sent.map { claims[$0].incarnation?.uid }),
            .texts(sent.map { claims[$0].reason }))
        let result = try await self.runLock(operation, call)
        guard result.rowCount > 0 else { return .deposed }
        var epochs = [Epoch?](repeating: nil, count: claims.count)
        try self.read(operation) { () throws(PostgresFailure) in
            for index in 0..<result.rowCount {
                var row = result.row(index)
                guard let position = try row.optionalInt() else { continue }
                guard sent.indices.contains(Int(position) - 1) else { throw .corrupt("a position") }
                epochs[sent[Int(position) - 1]] = try row.optionalUnsigned().map { Epoch($0) }
            }
        }
        return .claimed(epochs)
    }

    package func raiseEpoch(
        _ kind: OwnedKind, number: UInt16, to seen: Epoch, leaderEpoch: Epoch
    ) async throws(StoreError) {
        let operation = "raise epoch of \(kind.rawValue)"
        let statement = kind == .shard ? self.locks.raiseShard : self.locks.raiseLane
        let call = statement(
            try self.signed(leaderEpoch.rawValue, operation), .int(Int64(number)),
            try self.signed(seen.rawValue, operation))
        _ = try await self.runLock(operation, call)
    }

    package func checkpoint(_ settled: [ShardID: WallInstant], leaderEpoch: Epoch) async throws(StoreError) {
        let operation = "checkpoint"
        let shards = settled.keys.sorted()
        let call = self.locks.checkpoint(
            try self.signed(leaderEpoch.rawValue, operation), .ints(shards.map { Int64($0.rawValue) }),
            .ints(shards.compactMap { settled[$0]?.milliseconds }))
        _ = try await self.runLock(operation, call)
    }

    package func checkpoint(lanes: [LaneCheckpoint], leaderEpoch: Epoch) async throws(StoreError) {
        let operation = "checkpoint lanes"
        let call = self.locks.checkpointLanes(
            try self.signed(leaderEpoch.rawValue, operation), .ints(lanes.map { Int64($0.lane.rawValue) }),
            // Numbers that do not fit are no journal's.
            .ints(lanes.map { Int64(clamping: $0.epoch.rawValue) }),
            .ints(lanes.map { Int64(clamping: $0.sequence) }), .blobs(lanes.map(\.state)))
        _ = try await self.runLock(operation, call)
    }

    package func loadLaneCheckpoints() async throws(StoreError) -> [LaneCheckpoint] {
        let operation = "load lane checkpoints"
        let result = try await self.runLock(operation, self.locks.laneCheckpoints())
        return try self.read(operation) { () throws(PostgresFailure) in
            try result.map { row throws(PostgresFailure) in
                guard let number = UInt16(exactly: try row.int()) else { throw .corrupt("a number of a lane") }
                return LaneCheckpoint(
                    lane: LaneID(number), epoch: Epoch(try row.unsigned()), sequence: try row.unsigned(),
                    state: try row.bytes())
            }
        }
    }

    package func assignmentHistory(
        _ filter: AssignmentFilter, before: UInt64?, limit: Int
    ) async throws(StoreError) -> [AssignmentRecord] {
        let operation = "read assignment history"
        let isOfNumber = filter.kind != nil && filter.number != nil
        let call = (isOfNumber ? self.locks.historyOfNumber : self.locks.history)(
            .text(filter.kind?.rawValue), .int(filter.number.map { Int64($0) }), .text(filter.owner?.name),
            .int(filter.from?.milliseconds), .int(filter.to?.milliseconds),
            .int(Int64(clamping: before ?? .max)), .int(Int64(max(0, limit))))
        // People ask this: it must not hold up a renewal.
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in
            try result.map { row throws(PostgresFailure) in
                let id = try row.unsigned()
                let at = WallInstant(milliseconds: try row.int())
                guard let kind = OwnedKind(rawValue: try row.text()), let number = UInt16(exactly: try row.int())
                else { throw .corrupt("the kind or number of an assignment") }
                return AssignmentRecord(
                    id: id, at: at, kind: kind, number: number, epoch: Epoch(try row.unsigned()),
                    owner: try row.optionalText().map { NodeID($0) },
                    incarnation: try row.optionalUID().map(Incarnation.init), reason: try row.text(),
                    leaderEpoch: Epoch(try row.unsigned()))
            }
        }
    }
}
