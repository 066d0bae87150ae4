import Coordinator
import Engine
import Federation
import Foundation
import Ledger
import Monitor
import Transport
import UpdateCodec

// What the machine has: libraries, processors, memory, disk, clock.

extension Doctor {
    func lookAtLibraries() {
        let processors = ProcessInfo.processInfo.activeProcessorCount
        look("libtorch") { "\(try EngineSelfTest.compute()); \(processors) processors" }
        look("images") { try EngineSelfTest.decodeImages() }
        look("SQLite") { try LedgerLibrary.version() }
        if CodecLibrary.isWorking() {
            add(Finding("LZ4", CodecLibrary.version))
        } else {
            add(broken("LZ4", CodecLibrary.version + " does not unpack what it packs"))
        }
        if TransportLibrary.hasCurve {
            add(Finding("ZeroMQ", TransportLibrary.version + " with CURVE"))
        } else {
            add(broken("ZeroMQ", TransportLibrary.version + " was built without CURVE"))
        }
    }

    private func broken(_ name: String, _ found: String) -> Finding {
        Finding(name, .failed, found, mend: "install the distribution's library again", exitCode: 1)
    }

    /// Python with ONNX Runtime: needed for budgets of milliseconds, used for the report.
    func lookAtRuntime() {
        guard let plan, !isWorker else { return }
        let needs = plan.stages.contains(where: \.needsMilliseconds)
        guard needs || plan.export.measure else { return }
        let place = FileManager.default.temporaryDirectory.appendingPathComponent("pleach-doctor-\(UUID().uuidString)")
        let trial = RuntimeTrial(in: place.path)
        if let runtime = trial.runtime { return add(Finding("runtime", runtime)) }
        let help = "make runtime, or set PLEACH_PYTHON"
        add(
            needs
                ? Finding(
                    "runtime", .failed, trial.reason, mend: "a budget is in milliseconds: \(help)",
                    exitCode: PleachExit.model.rawValue)
                : Finding("runtime", .warning, trial.reason, mend: "the report will have no milliseconds: \(help)"))
    }

    func lookAtMachine() {
        let machine = MachineFacts()
        add(.clock(machine))
        let fleet = plan.map { $0.fleet.workers + $0.fleet.overSelect } ?? 0
        add(.openFiles(machine, needed: isWorker ? 256 : 256 + 8 * fleet))
        let (memory, disk) =
            isWorker
            ? (forecast?.workerMemoryBytes, forecast?.workerDiskBytes)
            : (forecast?.coordinatorMemoryBytes, forecast?.coordinatorDiskBytes)
        add(.memory(machine, needed: memory, what: isWorker ? "a worker" : "the coordinator"))
        add(.disk(state, free: MachineFacts.freeDisk(of: state), needed: disk))
        lookAtWriting()
    }

    /// A few bytes, written, synced and removed, in the state folder or where it would be made.
    private func lookAtWriting() {
        var folder = URL(fileURLWithPath: state).standardizedFileURL
        while !FileManager.default.fileExists(atPath: folder.path), folder.path != "/" {
            folder.deleteLastPathComponent()
        }
        let path = folder.appendingPathComponent(".pleach-doctor-\(getpid())").path
        look("writing") {
            defer { unlink(path) }
            let begin = ContinuousClock.now
            try AtomicFile.write([UInt8](repeating: 1, count: 4096), to: path)
            let milliseconds = Int((ContinuousClock.now - begin) / .milliseconds(1))
            return "a file in \(folder.path) is written and synced in \(milliseconds) ms, and removed again"
        }
    }
}

extension StagePlan {
    fileprivate var needsMilliseconds: Bool {
        switch self {
        case .prune(let plan): if case .milliseconds = plan.target { true } else { false }
        case .quantize(let plan): if case .milliseconds = plan.rules.amount { true } else { false }
        case .train, .distill, .factorize, .evaluate: false
        }
    }
}
