import Federation
import Monitor

/// How to start a coordinator.
public struct CoordinatorOptions: Sendable {
    public var plan: Plan
    public var planText: String
    /// Where the plan was read; paths in it are relative to its folder.
    public var planPath: String
    public var bind: String
    public var state: String
    /// Address of the status page; nil for none.
    public var http: String?
    /// What requests to it have to bring; must be there for an address beyond loopback.
    public var httpToken: AccessToken?
    /// Threads that fold and compress.
    public var threads: Int

    public init(
        plan: Plan, planText: String, planPath: String, bind: String, state: String, http: String?,
        httpToken: AccessToken? = nil, threads: Int = 1
    ) {
        self.plan = plan
        self.planText = planText
        self.planPath = planPath
        self.bind = bind
        self.state = state
        self.http = http
        self.httpToken = httpToken
        self.threads = threads
    }
}

/// How a coordinator's process ended.
public struct CoordinatorOutcome: Sendable {
    public var succeeded: Bool
    public var reason: String
    public var failure: RunFailure?
    /// The closing figures, when the run finished.
    public var report: Report?
}
