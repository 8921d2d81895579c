package import EscapementModel

/// A reproducible source of randomness, so that a failing run is repeated by its seed.
package typealias SeededRandom = SplitMix64
