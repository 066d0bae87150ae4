import ArgumentParser
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

    /// - Parameters:
    ///   - demands: what else the plan has to say.
    ///   - data: what is to be said of the data, once the model is known.
    /// - Throws: the error that the start would throw. As JSON it is the last finding, too.
    func print(
        demands: (Plan) throws -> Void = { _ in },
        data: ((Plan, ExaminedModel?) throws -> Finding)? = nil
    ) throws {
        var findings = Findings()
        var subject = "plan"
        do {
            let (plan, text) = try options.load()
            try demands(plan)
            let rounds = plan.roundsPlanned
            let words = "\(options.plan) is sound: '\(plan.name)', \(plan.stages.count) stages, \(rounds) rounds"
            add(Finding(subject, words), to: &findings)
            let token = try options.statusToken()
            var check = StartCheck(
                CoordinatorOptions(
                    plan: plan, planText: text, planPath: options.plan, bind: bind, state: options.state,
                    http: options.http,
                    httpToken: token, threads: options.codecThreads), startsOver: options.fresh)
            for next in StartCheck.Subject.allCases {
                subject = next.rawValue
                add(Finding(subject, try check.look(at: next)), to: &findings)
            }
            subject = "data"
            if let data { add(try data(plan, check.examined), to: &findings) }
        } catch let error where !(error is ValidationError) && options.json {
            findings.add(Finding(subject, refused: error))
            try printJSON(findings)
            throw error
        }
        if options.json { return try printJSON(findings) }
        Swift.print(findings.verdict)
    }

    /// Told at once: a look at a large model takes its time.
    private func add(_ finding: Finding, to findings: inout Findings) {
        findings.add(finding)
        if !options.json { Swift.print(finding.line(checkWidth: 12)) }
    }
}
