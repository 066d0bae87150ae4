@testable import Federation

/// The smallest plan, with lines to insert at the top level and a list of stages.
func planText(_ extra: String = "", stages: String = "[train]", model: String = "{architecture: cnn}") -> String {
    "model: \(model)\nstages: \(stages)\n" + extra
}
