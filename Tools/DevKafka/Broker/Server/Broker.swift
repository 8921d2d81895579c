/// One of the brokers: an address that clients know, and whether it answers.
struct Broker {
    let id: Int32
    let host: String
    var port: Int
    var isUp = true
    /// Every answer of it is held back for so long.
    var slowMilliseconds: Int64 = 0
}
