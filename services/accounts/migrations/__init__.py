"""The changes of the store's schema, in order. A change that was released is never edited; another one follows it."""
