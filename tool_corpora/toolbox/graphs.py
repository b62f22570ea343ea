"""Small graphs written as edges: paths, degrees, cycles and orderings."""

from collections import deque

from tool_corpora.kit import choice, flag, integer, pattern, tool

_LETTERS = "BDGKMP"
_EXAMPLE = "B-D, D-K"


def _edges(rng):
    pairs = [(a, b) for a in _LETTERS for b in _LETTERS if a < b]
    drawn = rng.sample(pairs, rng.randint(4, 5))
    return ", ".join("-".join(rng.sample(pair, 2)) for pair in drawn)


def _ordered_edges(rng):
    letters = rng.sample(_LETTERS, 5)
    pairs = [(a, b) for i, a in enumerate(letters) for b in letters[i + 1 :]]
    return ", ".join(f"{a}-{b}" for a, b in rng.sample(pairs, rng.randint(3, 4)))


def _vertex(rng):
    return rng.choice(_LETTERS)


def _parse(edges):
    pairs = []
    for part in edges.split(","):
        ends = [end.strip() for end in part.split("-")]
        if len(ends) != 2 or not all(ends):
            raise ValueError("write the edges as in B-D, D-K")
        pairs.append((ends[0], ends[1]))
    if len(pairs) > 60:
        raise ValueError("at most 60 edges")
    return pairs


def _links(edges, directed=False):
    links = {}
    for a, b in _parse(edges):
        links.setdefault(a, set()).add(b)
        links.setdefault(b, set())
        if not directed:
            links[b].add(a)
    return links


def _hops(links, start):
    hops = {start: 0}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for there in sorted(links.get(here, ())):
            if there not in hops:
                hops[there] = hops[here] + 1
                queue.append(there)
    return hops


def _component_count(links):
    seen, count = set(), 0
    for vertex in links:
        if vertex not in seen:
            count += 1
            seen |= set(_hops(links, vertex))
    return count


@tool(
    "Count the hops on the shortest path between two vertices. "
    "How few steps, links or stops it takes to get from one node to another.",
    returns="The number of hops, or -1 without a path.",
    edges=pattern("Edges of the graph.", _edges, _EXAMPLE),
    start=pattern("Vertex the path starts at.", _vertex, "B"),
    goal=pattern("Vertex the path ends at.", _vertex, "D"),
    directed=flag("Whether edges go one way only."),
    ask=[
        'How many hops is the shortest path from {start} to {goal} in "{edges}"?',
        'With edges "{edges}", find the shortest path from {start} to {goal}.',
        'Shortest path to {goal} from {start} in the graph "{edges}".',
        (
            'Treat "{edges}" as directed and give the shortest path from {start} to {goal}.',
            {"directed": True},
        ),
        (
            'How short is the path from {start} to {goal} along the one-way edges "{edges}"?',
            {"directed": True},
        ),
    ],
    held=[
        'The graph is "{edges}". What is the least number of hops from {start} to {goal}?',
        'I want the hops of the shortest path to {goal} in "{edges}", starting at {start}.',
        (
            'Each edge of "{edges}" is directed. How many hops lead from {start} to {goal}?',
            {"directed": True},
        ),
    ],
)
def shortest_path_hops(edges, start, goal, directed=False):
    return _hops(_links(edges, directed), start).get(goal, -1)


@tool(
    "Count the edges that meet at a vertex, its degree. "
    "How many connections, links or roads a single node has, without naming them.",
    returns="The degree as a whole number.",
    edges=pattern("Edges of the graph.", _edges, _EXAMPLE),
    vertex=pattern("Vertex to look at.", _vertex, "B"),
    ask=[
        'What is the degree of {vertex} in "{edges}"?',
        'How many edges meet at {vertex} in the graph "{edges}"?',
        'Find the degree of vertex {vertex} given edges "{edges}".',
        'For "{edges}", count the edges at {vertex}.',
        'Degree of {vertex}, please; the edges are "{edges}".',
    ],
    held=[
        'In the network "{edges}", what degree does the vertex {vertex} have?',
        'Tell me how many edges of "{edges}" touch {vertex}, i.e. its degree.',
    ],
)
def vertex_degree(edges, vertex):
    return sum((a == vertex) + (b == vertex) for a, b in _parse(edges))


@tool(
    "List the neighbours of a vertex in a graph. "
    "Names the nodes directly linked to one node, such as adjacent towns or immediate friends.",
    returns="The neighbours in alphabetical order.",
    edges=pattern("Edges of the graph.", _edges, _EXAMPLE),
    vertex=pattern("Vertex whose neighbours are wanted.", _vertex, "B"),
    ask=[
        'List the neighbours of {vertex} in "{edges}".',
        'Which vertices are neighbours of {vertex} in the graph "{edges}"?',
        'Given "{edges}", who are the neighbours of {vertex}?',
        'The edges are "{edges}". Name all neighbours of {vertex}.',
        'Show me every neighbour that {vertex} has among "{edges}".',
        'Who is directly linked to {vertex} in the network "{edges}"?',
        'Connections: "{edges}". Which nodes touch {vertex}?',
        'Tell me which points are adjacent to {vertex}, given the links "{edges}".',
        'Node {vertex}, graph "{edges}": adjacent nodes?',
        'If the friendships are "{edges}", who are the immediate friends of {vertex}?',
        'Look at "{edges}" and write down everything that shares an edge with {vertex}.',
        (
            'The streets run "{edges}". What crossings can I get to from {vertex} along a '
            "single street?"
        ),
        'I need the adjacency list of {vertex} for the graph made of "{edges}".',
        'Only one hop away from {vertex}: what lies there in "{edges}"?',
        'Please enumerate the vertices next to {vertex} when the edges are "{edges}".',
    ],
    held=[
        'What are the direct neighbours of vertex {vertex} when the edges are "{edges}"?',
        'From the graph "{edges}", pick out each neighbour of {vertex}.',
    ],
)
def vertex_neighbours(edges, vertex):
    return sorted(_links(edges).get(vertex, set()) - {vertex})


@tool(
    "Count the separate connected components of a graph. "
    "Into how many unlinked pieces, islands or clusters a network falls apart.",
    returns="The number of components.",
    edges=pattern("Edges of the graph.", _edges, _EXAMPLE),
    ask=[
        'How many connected components does "{edges}" have?',
        'Count the components of the graph "{edges}".',
        'Into how many separate components does "{edges}" fall?',
        'Find the number of connected components given edges "{edges}".',
        'The graph has edges "{edges}". Number of components?',
        'Links in my network: "{edges}". How many isolated islands are there?',
        'Tell me how many disconnected pieces the graph "{edges}" is made of.',
        'If the only connections are "{edges}", how many separate clusters do we end up with?',
        'Work out the number of connected parts in "{edges}".',
        'These cables join the computers: "{edges}". How many groups cannot talk to each other?',
        'Number of linked groups in "{edges}", please.',
        (
            'I connected the dots like this: "{edges}". What number of unconnected bunches '
            "does that leave?"
        ),
        'Determine how many pieces hang together on their own in the network "{edges}".',
        'Friendships are "{edges}"; how many friend circles with no tie between them exist?',
        'Does "{edges}" form one connected piece or several? Give me the count.',
    ],
    held=[
        'Tell me how many components the edges "{edges}" form.',
        'Is "{edges}" in one piece? Give its count of connected components.',
    ],
)
def count_components(edges):
    return _component_count(_links(edges))


@tool(
    "Check whether a graph contains a cycle. "
    "Detects a loop or ring in a network, a route leading back to where it began.",
    returns="True if there is a cycle.",
    edges=pattern("Edges of the graph.", _edges, _EXAMPLE),
    ask=[
        'Does "{edges}" contain a cycle?',
        'Check the graph "{edges}" for a cycle.',
        'Is there any cycle among the edges "{edges}"?',
        'I drew the edges "{edges}". Did I make a cycle?',
        'Find out whether "{edges}" has a cycle.',
        'Can I walk in a loop along the connections "{edges}"?',
        'Is the network "{edges}" free of loops or not?',
        'Tell me if a closed ring shows up anywhere in "{edges}".',
        'Links "{edges}": any loop in there?',
        (
            'Our footpaths are "{edges}". Could a hiker make a round trip without using a '
            "path twice?"
        ),
        'Please examine the graph "{edges}" and say whether some edges form a closed circuit.',
        'Look for a circular path in the links "{edges}".',
        'Given the connections "{edges}", do any of them close a circle?',
        'I suspect that "{edges}" contains a circuit. Am I right?',
        'Determine if the edges "{edges}" loop back on themselves.',
    ],
    held=[
        'Can I walk round a cycle in the graph "{edges}"?',
        'Tell me if the network with edges "{edges}" is free of a cycle or not.',
    ],
)
def graph_has_cycle(edges):
    pairs = {tuple(sorted(pair)) for pair in _parse(edges)}
    links = _links(edges)
    return len(pairs) > len(links) - _component_count(links)


@tool(
    "Check whether a graph is bipartite, so that two groups suffice. "
    "Decides if nodes can be two-colored, or split into two teams, with no link inside either.",
    returns="True if the graph is bipartite.",
    edges=pattern("Edges of the graph.", _edges, _EXAMPLE),
    ask=[
        'Is the graph "{edges}" bipartite?',
        'Check if "{edges}" is bipartite.',
        'Are the edges "{edges}" those of a bipartite graph?',
        'Can the vertices of "{edges}" be split in two groups to make it bipartite?',
        'Test "{edges}" for being bipartite.',
        (
            'Is it possible to colour the graph "{edges}" with only two colours so that '
            "linked points differ?"
        ),
        'People who dislike each other: "{edges}". Could two teams keep all such pairs apart?',
        'Tell me whether two colours are enough for the vertices of "{edges}".',
        'Graph "{edges}": two-colourable or not?',
        (
            'Determine whether the nodes in "{edges}" divide into two sets with links only '
            "between the sets."
        ),
        (
            'I have the connections "{edges}". Do they make a graph with two sides and no '
            "link inside either?"
        ),
        'Verify that "{edges}" can be separated into two halves without an edge inside a half.',
        (
            'Suppose the links are "{edges}"; would a split into two camps leave no link '
            "within a camp?"
        ),
        'Please find out if the network "{edges}" has the bipartite property.',
        'Could I seat everyone at two tables if each pair in "{edges}" must be separated?',
    ],
    held=[
        'My edges are "{edges}". Do they give a bipartite graph?',
        'I wonder whether "{edges}" is bipartite or needs more than two groups.',
    ],
)
def graph_is_bipartite(edges):
    links = _links(edges)
    side = {}
    for vertex in links:
        if vertex not in side:
            side |= {v: hops % 2 for v, hops in _hops(links, vertex).items()}
    return all(side[a] != side[b] for a in links for b in links[a])


@tool(
    "Order tasks so that each comes after those it depends on. "
    "Topological sort that schedules jobs, courses or build steps so prerequisites are done first.",
    returns="The tasks in order, or an error if they depend on each other in a circle.",
    tasks=pattern("Pairs, the earlier task first.", _ordered_edges, _EXAMPLE),
    ties=choice("Which free task goes first.", ["lowest", "highest"], default="lowest"),
    ask=[
        'In what order can I do the tasks "{tasks}"?',
        'Order the tasks "{tasks}" by what they depend on.',
        'Put the dependent tasks "{tasks}" in order with the {ties} first on ties.',
        'The tasks depend on each other like "{tasks}". Give a valid order.',
        'Order "{tasks}" as tasks, taking the {ties} free one first.',
        'Some jobs must wait for others: "{tasks}". Which sequence works?',
        (
            'Give me a topological sort of "{tasks}", where the first of each pair precedes '
            "the second."
        ),
        'Schedule these steps so that every prerequisite comes first: "{tasks}".',
        (
            "Whenever several jobs are free, start with the {ties}. The prerequisites are "
            '"{tasks}"; what is the sequence?'
        ),
        (
            'Prerequisites "{tasks}". Line the tasks up, picking the last name in the '
            "alphabet whenever there is a choice.",
            {"ties": "highest"},
        ),
        'What should I do first, second and so on, if the dependencies are "{tasks}"?',
        (
            'Arrange the courses so that none precedes its requirements: "{tasks}". Prefer '
            "the {ties} on a tie."
        ),
        'Build order wanted for "{tasks}", earlier part named first in each pair.',
        (
            'Sequence the work steps "{tasks}" by their prerequisites and break ties in '
            "favour of the highest.",
            {"ties": "highest"},
        ),
        (
            'I have to respect "{tasks}" as before-and-after pairs. Work out a sequence for '
            "me, {ties} ones first when free."
        ),
    ],
    held=[
        'My tasks are "{tasks}", the earlier one first. Which order respects that?',
        'Find an order for the tasks "{tasks}" and break ties by {ties}.',
        'How should I order the tasks in "{tasks}" so nothing comes too early?',
    ],
)
def dependency_order(tasks, ties="lowest"):
    links = _links(tasks, directed=True)
    waiting = {task: sum(task in after for after in links.values()) for task in links}
    order = []
    while waiting:
        free = [task for task, count in waiting.items() if count == 0]
        if not free:
            raise ValueError("the tasks depend on each other in a circle")
        chosen = max(free) if ties == "highest" else min(free)
        order.append(chosen)
        del waiting[chosen]
        for task in links[chosen]:
            waiting[task] -= 1
    return order


@tool(
    "List every vertex that can be reached from a start vertex. "
    "Everywhere you can get to from one node or stop, over any number of links.",
    returns="The reachable vertices in alphabetical order, without the start.",
    edges=pattern("Edges of the graph.", _edges, _EXAMPLE),
    start=pattern("Vertex to start from.", _vertex, "B"),
    directed=flag("Whether edges go one way only."),
    ask=[
        'Which vertices can be reached from {start} in "{edges}"?',
        'List all that is reachable from {start} over the edges "{edges}".',
        'Starting at {start}, what can I reach in the graph "{edges}"?',
        (
            'Take "{edges}" as directed and list what {start} can reach.',
            {"directed": True},
        ),
        (
            'Which vertices are reachable from {start} if the edges "{edges}" are one-way?',
            {"directed": True},
        ),
        'If I stand at {start} and follow the links "{edges}", where can I end up?',
        'Roads: "{edges}". Name every place one can get to from {start}.',
        (
            'Which nodes are accessible from {start} when "{edges}" are one-way streets?',
            {"directed": True},
        ),
        'Tell me all the points that have a path from {start} in the network "{edges}".',
        (
            'Follow the arrows "{edges}" beginning at {start} and report all nodes you get to.',
            {"directed": True},
        ),
        'Connections "{edges}", origin {start}: which other nodes are within reach?',
        'A rumour starts with {start} and spreads along "{edges}". Who will hear it?',
        (
            'Each pair in "{edges}" only leads from the first to the second. Where could '
            "somebody get from {start}?",
            {"directed": True},
        ),
        (
            "Show me all destinations available to a traveller leaving {start} on the train "
            'lines "{edges}".'
        ),
        (
            'Out of the directed graph "{edges}", give everything downstream of {start}.',
            {"directed": True},
        ),
    ],
    held=[
        'Name everything in "{edges}" that I can reach when I begin at {start}.',
        'The network is "{edges}". Who is reachable from {start}?',
        (
            'With directed edges "{edges}", what is reached from {start}?',
            {"directed": True},
        ),
    ],
)
def reachable_vertices(edges, start, directed=False):
    return sorted(set(_hops(_links(edges, directed), start)) - {start})


@tool(
    "Count the edges of a complete graph with so many vertices. "
    "How many links, handshakes or matches there are when everyone is joined to everyone else.",
    returns="The number of edges.",
    vertices=integer("Number of vertices.", 1, 5000),
    directed=flag("Whether each pair has two directed edges."),
    ask=[
        "How many edges has a complete graph with {vertices} vertices?",
        "Count the edges of the complete graph on {vertices} vertices.",
        "With {vertices} vertices, how many edges make the graph complete?",
        (
            "How many directed edges has a complete graph of {vertices} vertices?",
            {"directed": True},
        ),
        "Edges of a complete graph whose vertices number {vertices}?",
    ],
    held=[
        "If {vertices} vertices are all joined in a complete graph, how many edges is that?",
        "Give the edge count of a complete graph of size {vertices}.",
        (
            "A complete graph with {vertices} vertices has directed edges; how many in all?",
            {"directed": True},
        ),
    ],
)
def complete_graph_edges(vertices, directed=False):
    if not 0 <= vertices <= 10**9:
        raise ValueError("the number of vertices must be from 0 to a thousand million")
    return vertices * (vertices - 1) // (1 if directed else 2)
