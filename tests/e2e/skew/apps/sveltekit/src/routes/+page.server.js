export const actions = { default: () => ({ version: __VERSION__ }) };
