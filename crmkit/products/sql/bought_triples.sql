-- values: support. How many baskets have all of three items, any two of which are a pair.
with pairs_of_baskets as (
    select a.basket, a.code as a, b.code as b
    from {sold} a
    inner join {sold} b on b.basket = a.basket and b.code > a.code
    inner join {pairs} p on p.a = a.code and p.b = b.code
)
select t.a, t.b, c.code as c, cast(count(*) as bigint) as baskets
from pairs_of_baskets t
inner join {sold} c on c.basket = t.basket and c.code > t.b
inner join {pairs} p on p.a = t.a and p.b = c.code
inner join {pairs} q on q.a = t.b and q.b = c.code
group by t.a, t.b, c.code
having count(*) >= :support
order by a, b, c
