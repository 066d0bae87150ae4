import Foundation

/// Natural logarithm.
func logarithm(_ value: Double) -> Double { log(value) }
