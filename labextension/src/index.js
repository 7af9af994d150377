// kernellab in JupyterLab and Notebook: what makes a cell of Rust a good place to write it.

import { IEditorExtensionRegistry, IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import { ISettingRegistry } from "@jupyterlab/settingregistry";

import { Editors } from "./editor.js";

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
  requires: [IEditorExtensionRegistry, IEditorLanguageRegistry],
  optional: [ISettingRegistry],
  activate(app, extensions, languages, settings) {
    const editors = new Editors();
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
      }).catch((error) => console.warn("kernellab: no settings", error));
    }
  },
};

export default plugin;
