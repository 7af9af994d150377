// kernellab in JupyterLab and Notebook: what makes a cell of Rust a good place to write it.

import { IEditorExtensionRegistry, IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import { INotebookTracker } from "@jupyterlab/notebook";
import { IRenderMimeRegistry } from "@jupyterlab/rendermime";
import { ISettingRegistry } from "@jupyterlab/settingregistry";

import { Diagnostics } from "./diagnostics.js";
import { Editors } from "./editor.js";
import { followKernel, showEdits } from "./outputs.js";
import { listenToPanes } from "./panes.js";

const PLUGIN = "kernellab:plugin";

async function followSettings(registry, apply) {
  const settings = await registry.load(PLUGIN);
  apply(settings.composite);
  settings.changed.connect(() => apply(settings.composite));
}

const plugin = {
  id: PLUGIN,
  description: "Rust cells: highlighting, edits, diagnostics.",
  autoStart: true,
  requires: [IEditorExtensionRegistry, IEditorLanguageRegistry, INotebookTracker, IRenderMimeRegistry],
  optional: [ISettingRegistry],
  activate(app, extensions, languages, tracker, rendermime, settings) {
    const editors = new Editors();
    const diagnostics = new Diagnostics(editors, rendermime);
    const applied = showEdits(rendermime);
    const follow = (panel) => {
      listenToPanes(panel, editors);
      followKernel(panel, applied);
      diagnostics.follow(panel);
    };
    tracker.forEach(follow);
    tracker.widgetAdded.connect((_, panel) => follow(panel));
    extensions.addExtension({
      name: "kernellab",
      factory: ({ model }) =>
        model?.type === "code" ? { instance: () => editors.extension(model), reconfigure: () => null } : null,
    });
    languages.getLanguage("rust").then((rust) => {
      if (rust?.support) editors.setRust(rust.support.language);
    });
    if (settings) {
      followSettings(settings, (values) => {
        editors.setHighlighting(values.highlighting !== false);
        diagnostics.set(values.diagnostics !== false, values.hover !== false);
      }).catch((error) => console.warn("kernellab: no settings", error));
    }
  },
};

export default plugin;
