import ModelGraph
import Tensors

// What is given up of a file that costs too much accuracy: the bits of layers, those first whose bits gain most.
