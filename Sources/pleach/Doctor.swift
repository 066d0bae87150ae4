import ArgumentParser
import Coordinator
import Engine
import Federation
import Foundation
import ModelGraph
import Monitor
import Transport

/// One look at this machine, check after check. No check keeps another from being done.
final class Doctor {
    let options: DoctorCommand
    private(set) var findings = Findings()
    /// With the number of workers that was asked for.
    var plan: Plan?
    var planText = ""
    /// What data must fit.
    var graph: Graph?
    var forecast: RunForecast?

    init(_ options: DoctorCommand) { self.options = options }

    /// Whether this machine would work for a coordinator elsewhere.
    var isWorker: Bool { options.coordinator != nil }

    var state: String { options.state ?? (isWorker ? "pleach-worker" : "pleach-state") }

    func look() async {
        lookAtLibraries()
        lookAtPlan()
        if isWorker {
            lookAtWorkerKeys()
        } else {
            lookAtStart()
        }
        if let path = options.model { look("model") { try loadModel(path) } }
        lookAtRuntime()
        lookAtMachine()
        lookAtData()
        await lookAtCoordinator()
    }

    /// Told at once, because some looks take their time.
    func add(_ finding: Finding) {
        findings.add(finding)
        if !options.json { print(finding.line(checkWidth: 12)) }
    }

    /// One check: what it says is found, what it throws is why it failed.
    func look(_ check: String, _ body: () throws -> String) {
        do {
            add(Finding(check, try body()))
        } catch let error as ValidationError {
            add(Finding(check, .failed, error.message, exitCode: ExitCode.validationFailure.rawValue))
        } catch {
            add(Finding(check, refused: error))
        }
    }

    private func lookAtPlan() {
        guard let path = options.plan else { return }
        var read: (plan: Plan, text: String)?
        look("plan") {
            let loaded = try PlanFile.load(path, workers: options.workers)
            read = loaded
            return
                "\(path) is sound: '\(loaded.plan.name)', \(loaded.plan.stages.count) stages, \(loaded.plan.roundsPlanned) rounds"
        }
        (plan, planText) = (read?.plan, read?.text ?? "")
    }

    private func loadModel(_ path: String) throws -> String {
        let loaded = try Graph.load(path: path)
        try loaded.validateOperators(supported: SupportedOperators.table)
        graph = loaded
        return "\(path) has \(loaded.trainableElementCount) parameters"
    }

    // MARK: As a coordinator

    private func lookAtStart() {
        guard let plan else { return lookWithoutPlan() }
        do {
            let token = try AccessToken.given(file: options.httpToken)
            var check = StartCheck(
                CoordinatorOptions(
                    plan: plan, planText: planText, planPath: options.plan ?? "", bind: options.bind, state: state,
                    http: options.http, httpToken: token))
            for subject in StartCheck.Subject.allCases {
                look(subject.rawValue) { try check.look(at: subject) }
                if subject == .keys { lookAtPair("server") }
            }
            if let examined = check.examined {
                graph = examined.graph
                forecast = try RunForecast(plan: plan, examined: examined)
            }
        } catch {
            add(Finding("plan", refused: error))
        }
    }

    private func lookWithoutPlan() {
        look("keys") { try StartCheck.keys(state: state) }
        lookAtPair("server")
        look("address") { try StartCheck.address(options.bind) }
        guard let http = options.http else { return }
        look("status page") {
            let token = try AccessToken.given(file: options.httpToken)
            return try StartCheck.page(http, token: token)
        }
    }
}
