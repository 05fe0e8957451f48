// Light, dark, or as the system has it.

const PLACE = "host.theme";
const THEMES = ["auto", "light", "dark"];

const current = () => {
  const stored = localStorage.getItem(PLACE);
  return THEMES.includes(stored) ? stored : "auto";
};

/** Applies the theme that was chosen before, and lets the buttons of a group choose another. */
export function setUpTheme(group) {
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    for (const choice of group.querySelectorAll("input")) choice.checked = choice.value === theme;
  };
  apply(current());
  group.addEventListener("change", (event) => {
    localStorage.setItem(PLACE, event.target.value);
    apply(event.target.value);
  });
}
