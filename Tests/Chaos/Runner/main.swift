// make chaos: one long disturbed run. Exit status 0: nothing of it shows in the result; 1: it does; 2: wrong usage.

import Chaos
import Foundation
import Synchronization

private let interrupted = Atomic(false)

private func option(_ name: String) -> String? {
    guard let index = CommandLine.arguments.firstIndex(of: "--\(name)"), index + 1 < CommandLine.arguments.count else {
        return nil
    }
    return CommandLine.arguments[index + 1]
}

guard let binary = option("binary"), access(binary, X_OK) == 0 else {
    print("usage: pleach-chaos --binary PLEACH [--kills 20] [--seed 1] [--workers 3] [--loopback] [--keep]")
    exit(2)
}
var options = ChaosOptions(binary: binary)
options.kills = option("kills").flatMap { Int($0) } ?? 20
options.seed = option("seed").flatMap { UInt64($0) } ?? 1
options.workers = option("workers").flatMap { Int($0) } ?? 3
// Rounds enough that the run is still going at the last kill.
options.rounds = 8 + 6 * options.kills
options.limitSeconds = 60 + 12 * Double(options.kills)
options.namespaces = !CommandLine.arguments.contains("--loopback")
options.keepsFolder = CommandLine.arguments.contains("--keep")
for number in [SIGINT, SIGTERM, SIGHUP] {
    signal(number) { _ in interrupted.store(true, ordering: .relaxed) }
}
do {
    let isCancelled = { interrupted.load(ordering: .relaxed) }
    // Written at once, also into a pipe.
    let print = { (line: String) in FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
    let chaos = Chaos(options, isCancelled: isCancelled, print: print)
    let result = try chaos.run()
    print(result.table)
    for fault in result.faults { print("FAULT: \(fault)") }
    exit(result.faults.isEmpty ? 0 : 1)
} catch {
    Swift.print("FAULT: \(error)")
    exit(1)
}
