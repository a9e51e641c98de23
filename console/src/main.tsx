/** The console of Rivercast: see docs/console.md. */
import { render } from 'preact';
import { enter } from './access.ts';
import { App } from './app.tsx';
import { watchServer } from './numbers/history.ts';
import './style.css';

const place = document.getElementById('app');
if (place !== null) render(<App />, place);
enter().catch(() => undefined);
watchServer();
