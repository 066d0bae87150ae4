import Foundation
import Simulation
import Testing

private let environment = ProcessInfo.processInfo.environment
private let first = environment["PLEACH_SIMULATION_FIRST"].flatMap { UInt64($0) } ?? 0
private let count = environment["PLEACH_SIMULATION_SEEDS"].flatMap { Int($0) } ?? 500

/// A federation of real machines in a hostile world (`Tests/Simulation/SimulatedWorld.swift`).
@Suite struct SimulationTests {
    @Test func noSeedViolatesAnInvariant() {
        if let seed = environment["PLEACH_SIMULATION_SEED"].flatMap({ UInt64($0) }) {
            let wantsTrace = environment["PLEACH_SIMULATION_TRACE"] != nil
            let outcome = SimulationCampaign.run(seed: seed, trace: wantsTrace ? { print($0) } : nil)
            #expect(outcome.violations.isEmpty, "\(outcome.report)")
            return
        }
        let summary = SimulationCampaign.run(first: first, count: count)
        for failure in summary.failures { Issue.record("\(failure.report)") }
        // A fault that never happens is a fault of the simulation.
        guard count >= 500 else { return }
        for fault in SimulatedFault.allCases {
            #expect(summary.faults[fault] > 0, "\(fault) never happened")
        }
    }

    @Test func aSeedReplaysExactly() {
        for seed in 0..<20 as Range<UInt64> {
            let outcome = SimulationCampaign.run(seed: seed)
            let again = SimulationCampaign.run(seed: seed)
            #expect(outcome.fingerprint == again.fingerprint && outcome.events == again.events, "seed \(seed)")
        }
    }

    @Test(arguments: BrokenShell.allCases)
    func everyBrokenShellIsCaught(broken: BrokenShell) {
        let caught = (0..<200 as Range<UInt64>).first { seed in
            !SimulationCampaign.run(seed: seed, broken: broken).violations.isEmpty
        }
        #expect(caught != nil, "no seed shows that a shell \(broken.rawValue)")
    }
}
