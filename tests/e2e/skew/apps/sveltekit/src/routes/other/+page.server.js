export const load = () => ({ version: __VERSION__ });
