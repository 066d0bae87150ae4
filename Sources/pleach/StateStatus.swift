import Coordinator
import Federation
import Ledger

/// A run's history read from its state folder, whether or not a coordinator is running.
func historyFromState(_ directory: String) throws -> RunHistory { try RunState.look(into: directory).history }

/// What `pleach status --state` shows.
func statusFromState(_ directory: String) throws -> RunStatus {
    var status = RunStatus(history: try historyFromState(directory))
    if status.state == "running", StateLock.holder(directory: directory) == nil {
        status.state = "stopped"
        status.waitingFor = "no coordinator is running on this folder; start it again to go on"
    }
    return status
}
