import Federation
import Tensors

/// A worker's control variate c_i (SCAFFOLD: Karimireddy et al. 2020, algorithm 1, option II) without a byte of traffic.
///
/// The server's variate c is the mean of the workers' c_i. With option II and everybody taking part it equals what the last
/// round moved the model by, over what its steps reached: c = (x_prev − x) / R. Both snapshots are on the worker's disk,
/// and R is a number in the offer. Lossy wires and absent workers make it an estimate of that.
///
/// R generalizes the paper's K η to rates that change and to momentum (`StepReach`). Where there is nothing to compare with,
/// a worker takes its steps uncorrected: c without a c_i would only push every worker the same way.
struct DriftControl {
    /// In front of a parameter's name: the name of its c_i, in the file of the residual.
    static let prefix = "control:"

    /// c − c_i, which each step adds to the gradient; nil where there is nothing to compare with.
    let correction: NamedTensors?
    /// Of this task's steps.
    var reach = 0.0

    /// - Parameters:
    ///   - names: of the trainable parameters.
    ///   - own: the file that holds the c_i of the last round that counted.
    init(
        _ names: [String], previous: SnapshotFile?, reach: Double, current: NamedTensors, own: SafetensorsFile?
    ) throws {
        guard let previous, let own, names.allSatisfy({ own.shape(of: Self.prefix + $0) != nil }) else {
            correction = nil
            return
        }
        var corrections = NamedTensors()
        for name in names {
            var moved = try previous.parameter(name)
            let now = try current.require(name)
            guard moved.shape == now.shape, let control = try own.tensor(Self.prefix + name),
                control.elementType == .float32, control.shape == now.shape
            else {
                correction = nil
                return
            }
            moved.subtract(now)
            let scale = Float(1 / reach)
            moved.withMutableElements(as: Float.self) { elements in
                control.withElements(as: Float.self) { control in
                    for index in elements.indices { elements[index] = elements[index] * scale - control[index] }
                }
            }
            corrections[name] = moved
        }
        correction = corrections
    }

    /// Whether the steps went far enough to tell a gradient from them.
    var isMeaningful: Bool { reach.isFinite && reach >= 1e-12 }

    /// The next c_i of a parameter that training changed: c_i − c + (x − y) / R.
    func next(_ name: String, change: borrowing Tensor) throws -> Tensor {
        var control = copy change
        let scale = Float(-1 / reach)
        let correction = try correction?.require(name)
        control.withMutableElements(as: Float.self) { elements in
            for index in elements.indices { elements[index] *= scale }
            correction?.withElements(as: Float.self) { correction in
                for index in elements.indices { elements[index] -= correction[index] }
            }
        }
        return control
    }
}

/// How far SGD's steps move a weight for each unit of a gradient that stays the same. Momentum makes a gradient's part in
/// the velocity 1 + β + β² ... by and by; without it this is the sum of the rates, K η in the paper.
struct StepReach {
    let momentum: Double
    let nesterov: Bool
    private var velocity = 0.0
    private(set) var sum = 0.0

    init(momentum: Double, nesterov: Bool) {
        self.momentum = momentum
        self.nesterov = nesterov
    }

    mutating func step(rate: Double) {
        velocity = momentum * velocity + 1
        sum += rate * (nesterov ? 1 + momentum * velocity : velocity)
    }
}
