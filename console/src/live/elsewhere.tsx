/** What this process does not do, by its role, and who does. */

export function DeliveredElsewhere() {
  return (
    <section class="card elsewhere" aria-label="Following channels">
      <h2>Nothing is delivered here</h2>
      <p>
        This process has <code>ROLE=manager</code>: it takes messages in and stores them. Channels are
        followed, and their subscribers listed, where there is <code>ROLE=broadcaster</code>: open the console
        of such a process, or of the proxy in front of all of them.
      </p>
    </section>
  );
}

export function PublishedElsewhere() {
  return (
    <section class="card elsewhere" aria-label="Publish">
      <h2>Nothing is published here</h2>
      <p>
        This process has <code>ROLE=broadcaster</code>: it delivers what is stored. Messages are taken in
        where there is <code>ROLE=manager</code>: open the console of such a process, or of the proxy in front
        of all of them.
      </p>
    </section>
  );
}
