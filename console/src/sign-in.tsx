/** The door, where the server asks for a token. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { signIn } from './access.ts';

export function SignIn({ why }: { readonly why: string | null }) {
  const [text, setText] = useState('');
  const field = useRef<HTMLInputElement>(null);
  // There is nothing else to do here.
  useEffect(() => field.current?.focus(), []);
  return (
    <main class="door" id="main">
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          if (text.trim() !== '') signIn(text).catch(() => undefined);
        }}
      >
        <h1>Rivercast</h1>
        <p>
          This server asks for a token or an API key. One that may administer <code>*</code> sees everything.
        </p>
        <label for="token">Token</label>
        <input
          ref={field}
          id="token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={text}
          aria-invalid={why !== null}
          aria-describedby="token-note"
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <p id="token-note" class={why === null ? 'muted' : 'bad'} role={why === null ? undefined : 'alert'}>
          {why ?? 'It stays in this tab and is forgotten with it.'}
        </p>
        <button type="submit" class="primary">
          Enter
        </button>
      </form>
    </main>
  );
}
