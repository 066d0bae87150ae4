// Runs simulations: `pleach-simulate --seeds 10000 --first 0`, or one seed with a trace: `pleach-simulate --seed 123
// --trace`. Ends with 1 when an invariant was violated. `make simulate` builds and calls it.

import Foundation
import Simulation

let arguments = CommandLine.arguments

func number(_ name: String) -> UInt64? {
    guard let index = arguments.firstIndex(of: name), index + 1 < arguments.count else { return nil }
    guard let value = UInt64(arguments[index + 1]) else {
        FileHandle.standardError.write(Data("pleach-simulate: \(name) takes a number\n".utf8))
        exit(2)
    }
    return value
}

if let seed = number("--seed") {
    let outcome = SimulationCampaign.run(seed: seed, trace: arguments.contains("--trace") ? { print($0) } : nil)
    print(outcome.violations.isEmpty ? "seed \(seed): no violation" : outcome.report)
    exit(outcome.violations.isEmpty ? 0 : 1)
}

let summary = SimulationCampaign.run(first: number("--first") ?? 0, count: Int(number("--seeds") ?? 1000))
for failure in summary.failures { print(failure.report) }
for fault in SimulatedFault.allCases { print("\(fault): \(summary.faults[fault])") }
print(
    """
    \(summary.seeds) seeds, \(summary.failures.count) failed, \(summary.rounds) rounds, \(summary.events) events, \
    \(Int(summary.simulatedSeconds / 3600)) simulated hours in \(Int(summary.seconds)) s, \
    \(Int(summary.seedsPerSecond)) seeds a second, fingerprint \(String(summary.fingerprint, radix: 16))
    """)
exit(summary.failures.isEmpty ? 0 : 1)
