@testable import Federation

/// Runs that were never run.
enum CourseSamples {
    static func plan(rounds: Int = 3) -> Plan {
        Plan(
            name: "test", seed: 1, model: .file("m.onnx"), data: nil,
            fleet: FleetRules(workers: 2, quorum: 2, deadlineSeconds: 100, waitSeconds: 50, leaseSeconds: 10),
            wire: WireRules(), stages: [.train(TrainPlan(rounds: rounds))], export: ExportPlan())
    }
}
