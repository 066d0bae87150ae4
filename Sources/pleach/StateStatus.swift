import Coordinator
import Federation
import Foundation
import Ledger

/// A run's history read from its state folder, whether or not a coordinator is running.
func historyFromState(_ directory: String) throws -> RunHistory {
    guard FileManager.default.fileExists(atPath: directory + "/ledger.sqlite") else {
        throw CoordinatorError.state("\(directory) holds no run: name the folder given to --state")
    }
    let ledger = try Ledger.open(directory: directory, readOnly: true)
    return try RunState.readHistory(ledger, directory: directory)
}

/// What `pleach status --state` shows.
func statusFromState(_ directory: String) throws -> RunStatus {
    var status = RunStatus(history: try historyFromState(directory))
    if status.state == "running", StateLock.holder(directory: directory) == nil {
        status.state = "stopped"
        status.waitingFor = "no coordinator is running on this folder; start it again to go on"
    }
    return status
}
