// The way to kernellab in a notebook's kernel: a comm with the target "kernellab.editor".
//
// It is there once `%load_ext kernellab` has run; a kernel without it closes the comm at once, and
// another try is made after a cell that may have loaded it.

const TARGET = "kernellab.editor";
const LOADS = /kernellab|^\s*%%rust/m;
const ANSWER_TIME = 4000; // milliseconds until a question counts as not answered

export class Link {
  // `receive(message)` gets the kernel's messages; `opened()` is called when it has said hello.
  constructor(panel, receive, opened) {
    this.panel = panel;
    this.receive = receive;
    this.opened = opened;
    this.comm = null;
    this.ready = false;
    this.questions = new Map();
    this.number = 0;
    const session = panel.sessionContext;
    session.kernelChanged.connect(() => this.drop());
    session.statusChanged.connect((_, status) => {
      if (status === "restarting" || status === "autorestarting" || status === "dead") this.drop();
    });
    let loading = null;
    session.iopubMessage.connect((_, { header, parent_header: parent, content }) => {
      if (header.msg_type === "execute_input" && LOADS.test(content.code)) loading = parent.msg_id;
      if (content.execution_state === "idle" && loading !== null && parent.msg_id === loading) {
        loading = null;
        this.open();
      }
    });
    panel.disposed.connect(() => this.drop());
    void session.ready.then(() => this.resume());
  }

  // A page that is loaded again finds the kernel as it was. One without any comm, such as a pane's,
  // has just been started: it would only complain in its log.
  async resume() {
    const cells = [...(this.panel.content.model?.cells ?? [])];
    const kernel = this.panel.sessionContext.session?.kernel;
    if (!kernel || !cells.some((cell) => LOADS.test(cell.sharedModel.getSource()))) return;
    const reply = await kernel.requestCommInfo({}).catch(() => null);
    if (Object.keys(reply?.content.comms ?? {}).length) this.open();
  }

  open() {
    const kernel = this.panel.sessionContext.session?.kernel;
    if (this.comm || !kernel || kernel.handleComms === false) return;
    const comm = kernel.createComm(TARGET);
    this.comm = comm;
    comm.onMsg = (message) => {
      if (this.comm === comm) this.hear(message.content.data);
    };
    comm.onClose = () => {
      if (this.comm === comm) this.forget();
    };
    comm.open();
    comm.send({ type: "hello" });
  }

  hear(data) {
    if (typeof data !== "object" || data === null) return;
    if (data.type === "hello") {
      this.ready = true;
      this.opened();
    } else if (typeof data.id === "number" && this.questions.has(data.id)) {
      this.questions.get(data.id)(data);
    } else {
      this.receive(data);
    }
  }

  send(data) {
    if (!this.ready || !this.comm || this.comm.isDisposed) return false;
    this.comm.send(data);
    return true;
  }

  // The answer to a message, or null where there is none in time.
  ask(data) {
    const id = ++this.number;
    if (!this.send({ ...data, id })) return Promise.resolve(null);
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish(null), ANSWER_TIME);
      const finish = (answer) => {
        clearTimeout(timer);
        this.questions.delete(id);
        resolve(answer);
      };
      this.questions.set(id, finish);
    });
  }

  forget() {
    this.comm = null;
    this.ready = false;
    for (const finish of [...this.questions.values()]) finish(null);
  }

  drop() {
    const comm = this.comm;
    this.forget();
    // The kernel that it led to is gone or about to go: nothing is left to be told.
    if (comm && !comm.isDisposed) comm.dispose();
  }
}
