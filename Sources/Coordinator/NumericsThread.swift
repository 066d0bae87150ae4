import Compression
import Engine
import Federation
import Foundation
import Ledger
import Monitor
import Synchronization

/// Carries out numeric actions one after another on a thread of its own and answers with events.
final class NumericsThread: Sendable {
    private let queue = DispatchQueue(label: "pleach.numerics")
    private let report: @Sendable (CoordinatorService.ShellInput) -> Void
    // Touched on `queue` only, which is serial.
    private nonisolated(unsafe) let numerics: CoordinatorNumerics
    private let exporter: Exporter
    private let isFinishing: Flag
    /// For the status page.
    let layers = LayerTable()

    /// Set once, from any thread.
    private final class Flag: Sendable {
        private let value = Atomic(false)
        var isSet: Bool { value.load(ordering: .relaxed) }
        func set() { value.store(true, ordering: .relaxed) }
    }

    init(
        plan: Plan, state: RunState, facts: SnapshotFacts, threads: Int,
        report: @escaping @Sendable (CoordinatorService.ShellInput) -> Void
    ) throws {
        self.report = report
        numerics = try CoordinatorNumerics(
            plan: plan, blobs: state.blobs, directory: state.directory, facts: facts, threads: threads)
        let isFinishing = Flag()
        self.isFinishing = isFinishing
        var exporter = Exporter(plan: plan, directory: state.directory, blobs: state.blobs)
        exporter.probe.isCancelled = { isFinishing.isSet }
        exporter.ledger = state.ledger
        numerics.timer.probe.isCancelled = { isFinishing.isSet }
        self.exporter = exporter
        layers.refresh(numerics, compact: state.history.compact?.digest)
        // The model has been built or checked; from here on rounds decide how much memory is needed.
        EngineRuntime.trimMemory()
        ProcessMemory.releaseUnusedFilePages()
    }

    func openFold(
        _ rule: FoldRule, base: SnapshotFacts, restoring: [ContributionFacts], widths: [ModelWidth]
    ) {
        attempt { [self] in try numerics.openFold(rule, base: base, restoring: restoring, widths: widths) }
    }

    func examine(_ facts: ContributionFacts) {
        attempt { [self] in
            let examination = try numerics.examine(facts)
            report(.event(.examined(examination, round: facts.round, worker: facts.worker)))
        }
    }

    func compute(_ computation: StepComputation) {
        attempt { [self] in
            let step = try numerics.compute(computation)
            // Between rounds of averaging the same memory is needed again at once.
            if case .fold(.average, _, _, _) = computation {} else { EngineRuntime.trimMemory() }
            layers.refresh(numerics, compact: step.outcome.compact?.digest)
            report(.computed(step))
        }
    }

    func export(_ history: RunHistory) {
        attempt { [self] in report(.event(.exported(try exporter.export(history, numerics: numerics)))) }
    }

    /// Waits until what was started is over. Models are not timed any further: whoever resumes the run begins anew.
    func finish() {
        isFinishing.set()
        queue.sync {}
    }

    private func attempt(_ body: @escaping @Sendable () throws -> Void) {
        queue.async { [report, isFinishing] in
            do {
                try body()
            } catch {
                // A measurement that nobody waits for any more: the run is stopped, not broken.
                if error is LatencyError, isFinishing.isSet { return }
                report(.event(.failed(reason: "\(error)", RunFailure(error))))
            }
        }
    }
}

extension RunFailure {
    /// Which exit code an error of ours means.
    init(_ error: any Error) {
        switch error {
        case let error as LedgerError where error.isDiskFull: self = .diskFull
        case is LedgerError, is CoordinatorError: self = .corruptState
        default: self = .numerics
        }
    }
}
