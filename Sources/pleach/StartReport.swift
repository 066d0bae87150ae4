import Coordinator
import Engine
import Federation
import Foundation
import ModelGraph
import Monitor

/// What `--check` looks at and says: a line each, then one for all of it. The first that a start would refuse ends it, with the
/// start's own error.
struct StartReport {
    private let options: PlanOptions
    private let bind: String

    init(_ options: PlanOptions, bind: String) {
        (self.options, self.bind) = (options, bind)
    }

    /// - Parameter more: what else there is to look at, once the model is known.
    /// - Throws: the error that the start would throw.
    func print(_ more: (Plan, ExaminedModel?) throws -> [Finding] = { _, _ in [] }) throws {
        let (plan, text) = try options.load()
        let token = try options.statusToken()
        var findings = Findings()
        let rounds = plan.roundsPlanned
        add(
            Finding("plan", "\(options.plan) is sound: '\(plan.name)', \(plan.stages.count) stages, \(rounds) rounds"),
            to: &findings)
        var check = StartCheck(
            CoordinatorOptions(
                plan: plan, planText: text, planPath: options.plan, bind: bind, state: options.state,
                http: options.http,
                httpToken: token, threads: options.codecThreads), startsOver: options.fresh)
        for subject in StartCheck.Subject.allCases {
            add(Finding(subject.rawValue, try check.look(at: subject)), to: &findings)
        }
        for finding in try more(plan, check.examined) { add(finding, to: &findings) }
        if options.json { return try printJSON(findings) }
        Swift.print(findings.verdict)
    }

    /// Told at once: a look at a large model takes its time.
    private func add(_ finding: Finding, to findings: inout Findings) {
        findings.add(finding)
        if !options.json { Swift.print(finding.line(checkWidth: 12)) }
    }
}
