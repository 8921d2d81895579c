/// What one run is made of.
struct RunSettings {
    var seed: UInt64
    var coordinators = 2
    var tickers = 3
    var dispatchers = 2
    /// While faults happen.
    var faultsFor = Duration.seconds(60)
    /// After everything is mended: the budget in which all must be settled.
    var quietFor = Duration.seconds(45)
    /// Of the mean pause between two faults.
    var faultEvery = Duration.seconds(4)
    /// Prints every log line.
    var isVerbose = false
}
