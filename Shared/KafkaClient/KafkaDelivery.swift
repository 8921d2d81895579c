/// What became of one record.
package struct KafkaDelivery: Equatable, Sendable {
    /// `none` when the record is in its partition, as durably as `acks` demands.
    package var code: KafkaErrorCode
    package var partition: Int32
    /// -1 when the record was not written or the broker did not say.
    package var offset: Int64

    package init(code: KafkaErrorCode, partition: Int32 = -1, offset: Int64 = -1) {
        self.code = code
        self.partition = partition
        self.offset = offset
    }

    package var isDelivered: Bool { self.code == .none }
}
