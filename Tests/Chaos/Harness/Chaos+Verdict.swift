import Federation
import Foundation
import Ledger

extension Chaos {
    /// Compares the two runs: the model, byte by byte; the ledger, fact by fact.
    func compare() throws {
        let calm = FileManager.default.contents(atPath: calmState + "/out/compact.onnx")
        let rough = FileManager.default.contents(atPath: roughState + "/out/compact.onnx")
        result.digestsEqual = calm != nil && calm == rough
        if !result.digestsEqual { result.faults.append("compact.onnx differs from the undisturbed run's") }
        let (calmFacts, roughFacts) = (try facts(calmState), try facts(roughState))
        result.rounds = roughFacts.opened.count
        result.contributions = roughFacts.contributions.count
        requireOnce(roughFacts.opened.map { "round \($0) opened" })
        requireOnce(roughFacts.closed.map { "round \($0) closed" })
        requireOnce(roughFacts.contributions.map { "contribution of \($0.worker) to round \($0.round)" })
        requireOnce(roughFacts.versions.map { "snapshot \($0)" })
        if roughFacts.opened.sorted() != roughFacts.closed.sorted() {
            result.faults.append("rounds opened and rounds closed are not the same")
        }
        if roughFacts.opened.sorted() != calmFacts.opened.sorted() {
            result.faults.append("\(roughFacts.opened.count) rounds, undisturbed \(calmFacts.opened.count)")
        }
        let expected = Dictionary(calmFacts.contributions.map { ("\($0.round) \($0.worker)", $0) }) { first, _ in first
        }
        for found in roughFacts.contributions {
            let twin = expected["\(found.round) \(found.worker)"]
            if twin?.submission.blob != found.submission.blob || twin?.weight != found.weight {
                result.faults.append("\(found.worker) contributed other bytes to round \(found.round) than undisturbed")
            }
        }
    }

    private struct Facts {
        var opened: [Int] = []
        var closed: [Int] = []
        var versions: [Int] = []
        var contributions: [ContributionFacts] = []
    }

    private func facts(_ state: String) throws -> Facts {
        var facts = Facts()
        for (_, record) in try Ledger.open(directory: state, readOnly: true).ledgerRecords() {
            switch record {
            case .roundOpened(let round, _, _): facts.opened.append(round)
            case .contributionAccepted(let contribution): facts.contributions.append(contribution)
            case .snapshotPublished(let snapshot): facts.versions.append(snapshot.version)
            case .stepFinished(let round, _, _, let snapshot, _, _):
                if let round { facts.closed.append(round) }
                if let snapshot { facts.versions.append(snapshot.version) }
            default: break
            }
        }
        return facts
    }

    private func requireOnce(_ facts: [String]) {
        var seen: Set<String> = []
        for fact in facts where !seen.insert(fact).inserted { result.faults.append("\(fact) twice") }
    }
}
