import ArgumentParser
import Federation
import Foundation

/// A plan's file, read and checked.
enum PlanFile {
    /// - Parameter workers: another number than the plan's, if given.
    /// - Throws: `PlanError` with path, line and what helps; `ValidationError` for a number that does not fit.
    static func load(_ path: String, workers: Int? = nil) throws -> (plan: Plan, text: String) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw PlanError(path: path, line: nil, message: "no such file, or no permission to read it")
        }
        let text = String(decoding: data, as: UTF8.self)
        var plan = try Plan.parse(text, path: path, environment: ProcessInfo.processInfo.environment)
        guard let workers else { return (plan, text) }
        let counts = FleetRules.workerCounts
        guard counts.contains(workers) else {
            throw ValidationError("--workers is \(counts.lowerBound) to \(counts.upperBound)")
        }
        plan.fleet.ask(workers: workers)
        guard max(plan.fleet.quorum, plan.fleet.buffer) <= workers else {
            let least = max(plan.fleet.quorum, plan.fleet.buffer)
            throw ValidationError("--workers \(workers) is below the plan's quorum or buffer of \(least)")
        }
        if let need = plan.needOfMembers { throw ValidationError("--workers \(workers): \(need)") }
        return (plan, text)
    }
}
