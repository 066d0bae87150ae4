import Dispatch
import Federation
import Foundation
import Synchronization

/// What many seeds came to.
public struct CampaignSummary: Sendable {
    public var seeds = 0
    public var rounds = 0
    public var events = 0
    public var simulatedSeconds = 0.0
    public var seconds = 0.0
    public var faults = FaultCounts()
    /// Seeds that violated an invariant, in order.
    public var failures: [SimulationOutcome] = []
    /// Depends on every event of every seed.
    public var fingerprint: UInt64 = 0

    public var seedsPerSecond: Double { Double(seeds) / max(seconds, 1e-9) }
}

/// Runs simulations, each twice where the result must be that of an undisturbed run.
public enum SimulationCampaign {
    /// One seed.
    /// - Parameters:
    ///   - trace: receives a line for every event and action.
    ///   - log: receives what the machines log, and whose log it stands in.
    public static func run(
        seed: UInt64, broken: BrokenShell? = nil, trace: ((String) -> Void)? = nil,
        log: ((LogEvent, String) -> Void)? = nil
    ) -> SimulationOutcome {
        let scenario = SimulationScenario(seed: seed)
        trace?(scenario.description)
        var outcome = SimulatedWorld(scenario, broken: broken, trace: trace, log: log).run()
        guard scenario.isForced, outcome.violations.isEmpty else { return outcome }
        let undisturbed = SimulatedWorld(scenario.undisturbed()).run()
        outcome.violations += undisturbed.violations.map { "undisturbed: \($0)" }
        if outcome.snapshot != undisturbed.snapshot {
            outcome.violations.append("the last snapshot is not that of the undisturbed run")
        }
        return outcome
    }

    /// Seeds `first ..< first + count`, on all cores.
    public static func run(first: UInt64, count: Int) -> CampaignSummary {
        let started = ContinuousClock.now
        let outcomes = Mutex<[SimulationOutcome?]>(Array(repeating: nil, count: count))
        DispatchQueue.concurrentPerform(iterations: count) { index in
            let outcome = CrashReport.naming(seed: first + UInt64(index)) { run(seed: first + UInt64(index)) }
            outcomes.withLock { $0[index] = outcome }
        }
        var summary = CampaignSummary()
        for outcome in outcomes.withLock({ $0 }).compactMap({ $0 }) {
            summary.seeds += 1
            summary.rounds += outcome.roundsClosed
            summary.events += outcome.events
            summary.simulatedSeconds += outcome.simulatedSeconds
            summary.faults += outcome.faults
            summary.fingerprint = mixed(summary.fingerprint, outcome.fingerprint)
            if !outcome.violations.isEmpty { summary.failures.append(outcome) }
        }
        summary.seconds = (ContinuousClock.now - started) / .seconds(1)
        return summary
    }
}

extension SimulationOutcome {
    /// What went wrong and how to see it again.
    public var report: String {
        "seed \(seed): \(violations.joined(separator: "; "))\n  again: make simulate SEED=\(seed) TRACE=1"
    }
}

extension SimulationScenario: CustomStringConvertible {
    public var description: String {
        let fleet = plan.fleet
        return """
            seed \(seed): \(honestWorkers) workers, \(hostile.count) hostile \(hostile), calm at \(Int(calmAt)) s, \
            \(isForced ? "every worker must contribute" : "any quorum")
            fleet: workers \(fleet.workers), quorum \(fleet.quorum), overSelect \(fleet.overSelect), \(fleet.rounds), \
            buffer \(fleet.buffer), staleness \(fleet.maximumStaleness), lease \(fleet.leaseSeconds), \
            heartbeat \(fleet.heartbeatSeconds), deadline \(fleet.deadlineSeconds), wait \(fleet.waitSeconds)
            stages: \(plan.stages.map(\.kind))
            rates: \(rates)
            """
    }
}
