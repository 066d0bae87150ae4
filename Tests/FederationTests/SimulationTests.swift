import Federation
import Simulation
import Testing

/// A small plan with every kind of step.
private let plan = Plan(
    name: "simulated", seed: 7, model: .file("model.onnx"), data: nil,
    fleet: FleetRules(workers: 3, quorum: 3, deadlineSeconds: 1e6, waitSeconds: 1e6, leaseSeconds: 30),
    wire: WireRules(),
    stages: [
        .train(TrainPlan(rounds: 2)), .prune(PrunePlan(criterion: .taylor, steps: 2)),
        .distill(DistillPlan(rounds: 1, teacher: .stage(0))), .quantize(QuantizePlan()), .evaluate(EvaluatePlan()),
    ],
    export: ExportPlan())

@Test func undisturbedRunFinishes() {
    let outcome = SimulatedFederation(plan: plan, workers: 3, seed: 1, faults: .none).run()
    #expect(outcome.finished)
    #expect(outcome.violations.isEmpty)
    let rounds = outcome.history.filter { if case .roundOpened = $0 { true } else { false } }.count
    #expect(rounds == plan.roundsPlanned)
}

@Test func networkTimingDoesNotChangeTheResult() {
    let results = Set(
        (0..<20).map { SimulatedFederation(plan: plan, workers: 3, seed: $0, faults: .none).run().snapshot })
    #expect(results.count == 1)
}

@Test(arguments: 0..<60)
func anyFaultsEndWithTheUndisturbedResult(seed: Int) {
    let undisturbed = SimulatedFederation(plan: plan, workers: 3, seed: 1, faults: .none).run()
    let faults = Faults(connectionBreaks: 0.03, coordinatorCrashes: 0.02, workerCrashes: 0.02)
    let outcome = SimulatedFederation(plan: plan, workers: 3, seed: UInt64(seed), faults: faults).run()
    #expect(outcome.finished)
    #expect(outcome.violations.isEmpty)
    #expect(outcome.snapshot == undisturbed.snapshot)
}

@Test func faultsDoHappenInTheSimulation() {
    let faults = Faults(connectionBreaks: 0.03, coordinatorCrashes: 0.02, workerCrashes: 0.02)
    let crashes = (0..<10).map { SimulatedFederation(plan: plan, workers: 3, seed: $0, faults: faults).run().crashes }
    #expect(crashes.reduce(0, +) > 20)
}

@Test func spareWorkersDoNotCountTwice() {
    let faults = Faults(connectionBreaks: 0.05, workerCrashes: 0.03, blobFailures: 0.02)
    for seed in 0..<20 {
        let outcome = SimulatedFederation(plan: plan, workers: 6, seed: UInt64(seed), faults: faults).run()
        #expect(outcome.violations.isEmpty)
        for round in 0..<plan.roundsPlanned {
            let accepted = outcome.history.filter {
                if case .contributionAccepted(let facts) = $0 { facts.round == round } else { false }
            }
            #expect(accepted.count <= plan.fleet.workers)
        }
    }
}
